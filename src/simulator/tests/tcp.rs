//! The simulator on real sockets, in real time.

use tokio::net::{TcpListener, TcpStream};

use super::*;

const STATUS: &str = "GET /api/status HTTP/1.1\r\nHost: localhost:3001\r\n\r\n";

async fn listening(settings: Settings) -> (tokio::task::JoinHandle<()>, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let logto = Simulator::new(settings);
    (tokio::spawn(async move { logto.serve(listener).await }), address)
}

/// Asks for the status; the answer's first bytes, none when the connection was closed.
async fn asked(stream: &mut TcpStream) -> String {
    stream.write_all(STATUS.as_bytes()).await.ok();
    let mut answer = [0; 24];
    match stream.read_exact(&mut answer).await {
        Ok(_) => String::from_utf8_lossy(&answer).into_owned(),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn connections_end_with_the_server() {
    let (server, address) = listening(Settings::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(asked(&mut stream).await, "HTTP/1.1 204 No Content\r");
    server.abort();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the server closes the connection");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_connection_too_many_is_closed() {
    let (_server, address) = listening(Settings { connections_max: 1, ..Settings::default() }).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    assert_eq!(asked(&mut first).await, "HTTP/1.1 204 No Content\r");
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(asked(&mut second).await, "");
}
