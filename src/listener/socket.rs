//! Sockets to accept on: TCP, both loopbacks at once, Unix.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use tokio::net::{TcpListener, UnixListener};

use crate::caller::Peer;
use crate::connect::Stream;

/// No address to listen on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}{}", remedy(.cause))]
pub struct BindError {
    address: String,
    #[source]
    cause: io::Error,
}

impl BindError {
    /// Somebody else listens there.
    pub fn is_taken(&self) -> bool {
        self.cause.kind() == io::ErrorKind::AddrInUse
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process listens there; stop it, or choose another port, for instance \
             --set listen.data=localhost:8580 --set listen.admin=localhost:8581)"
        }
        io::ErrorKind::PermissionDenied => " (not permitted for this user)",
        _ => "",
    }
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Socket {
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("http://{address}"),
                Err(error) => format!("({error})"),
            },
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Peer::Tcp))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Peer::Unix { uid }))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone already; nobody is left to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Some clients try ::1 first, others 127.0.0.1: both must answer, on the same port.
pub(super) async fn bind_localhost(port: u16) -> Result<Vec<Socket>, BindError> {
    let v4 = bind_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let port = v4.local_addr().map_or(port, |a| a.port());
    let mut sockets = vec![Socket::Tcp(v4)];
    match bind_tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
        Ok(v6) => sockets.push(Socket::Tcp(v6)),
        Err(error) if error.is_taken() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "no IPv6 on this host; clients that insist on ::1 will not get through");
        }
    }
    Ok(sockets)
}

pub(super) async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|cause| BindError { address: address.to_string(), cause })
}

/// A socket that a killed process left behind is replaced; one that answers is not, nor is any other file: connecting
/// to one is refused in the same words.
pub(super) fn bind_unix(path: &PathBuf) -> Result<Socket, BindError> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let refused = |cause| BindError { address: format!("unix:{}", path.display()), cause };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && let Err(error) = std::os::unix::net::UnixStream::connect(path)
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        std::fs::remove_file(path).map_err(refused)?;
    }
    let listener = UnixListener::bind(path).map_err(refused)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(refused)?;
    Ok(Socket::Unix(listener, path.clone()))
}
