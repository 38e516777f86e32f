//! Who gets how much of the line, and how soon, on paused time.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll};

use futures_util::future::{join_all, poll_fn};
use tokio::time::{sleep, timeout};

use super::tests::{PERIOD, asks, line, now, settings, use_up, used_up, wasted};
use super::*;
use crate::call::sample::get;
use crate::caller::Caller;

const HOUR: Duration = Duration::from_secs(3600);

/// A line in which a thousand may wait for as long as it takes.
fn long_line() -> Throttle {
    line(|s| {
        s.waiting_max_per_caller = 1024;
        s.classes.iter_mut().for_each(|class| class.wait_max = Duration::from_secs(120));
    })
}

/// A call of this caller.
fn of(caller: &str) -> Call {
    Call { caller: Caller::named(caller), ..get("/api/users").within(HOUR).call() }
}

fn batch(caller: &str) -> Call {
    Call { class: Class::Batch, ..of(caller) }
}

/// So many calls of one caller, one after the other, at uneven times. Returns how long each waited.
async fn waits(line: &Throttle, call: &Call, calls: u64) -> Vec<Duration> {
    let mut waits = Vec::new();
    for n in 0..calls {
        sleep(Duration::from_millis(n * 37 % 90)).await;
        let asked = now();
        waits.push(use_up(asks(line, call).await.expect("its turn comes")) - asked);
    }
    waits
}

/// The wait that 99 of 100 do not exceed.
fn p99(mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

#[tokio::test(start_paused = true)]
async fn before_a_thousand_of_background_work_one_that_somebody_waits_for_waits_three_periods_at_most() {
    let (line, job, person) = (long_line(), batch("job"), of("person"));
    let backlog = used_up((0..1000).map(|_| asks(&line, &job)).collect());
    let waits = async { (waits(&line, &person, 250).await, line.status().waiting_batch) };
    let (waits, left) = tokio::select! {
        biased;
        waits = waits => waits,
        _ = backlog => panic!("the background work was done first"),
    };
    assert!(left > 100, "it had waited all the time: {left}");
    assert!(p99(waits.clone()) <= PERIOD * 3, "{:?}", p99(waits));
}

#[tokio::test(start_paused = true)]
async fn background_work_goes_on_beside_any_number_of_calls_that_somebody_waits_for() {
    let (line, job, person) = (long_line(), batch("job"), of("person"));
    let calls = used_up((0..450).map(|_| asks(&line, &person)).collect());
    let jobs = used_up((0..100).map(|_| asks(&line, &job)).collect());
    let (calls, jobs) = tokio::join!(calls, jobs);
    let last = calls.into_iter().map(|at| at.expect("its turn comes")).max().expect("450");
    let meanwhile = jobs.into_iter().filter(|at| at.as_ref().expect("its turn comes") <= &last).count();
    assert!((49..=57).contains(&meanwhile), "a ninth of it all: {meanwhile}");
}

#[tokio::test(start_paused = true)]
async fn the_token_that_is_needed_while_a_thousand_wait_goes_out_within_a_period() {
    let (line, job) = (long_line(), of("job"));
    let backlog = used_up((0..1000).map(|_| asks(&line, &job)).collect());
    let tokens = async {
        for n in 0..20 {
            sleep(Duration::from_millis(500 + n * 13)).await;
            let asked = now();
            let granted = use_up(line.permit_for_token().await.expect("first of all"));
            assert!(granted - asked <= PERIOD + Duration::from_millis(1), "{:?}", granted - asked);
        }
    };
    tokio::select! {
        () = tokens => {}
        _ = backlog => panic!("nobody waited any more"),
    }
}

#[tokio::test(start_paused = true)]
async fn beside_one_with_five_hundred_waiting_calls_each_of_nine_with_one_at_a_time_gets_its_full_share() {
    let line = line(|s| {
        s.waiting_max_per_caller = 1024;
        s.classes[0].wait_max = HOUR;
    });
    let greedy = of("greedy");
    let backlog = used_up((0..500).map(|_| asks(&line, &greedy)).collect());
    let modest: Vec<(Call, Cell<u32>)> = (0..9).map(|n| (of(&format!("modest-{n}")), Cell::new(0))).collect();
    let nine = join_all(modest.iter().map(async |(call, served)| {
        loop {
            use_up(asks(&line, call).await.expect("its turn comes"));
            served.set(served.get() + 1);
            // The answer takes its time.
            sleep(Duration::from_millis(80)).await;
        }
    }));
    let time = Duration::from_secs(120);
    tokio::select! {
        () = sleep(time) => {}
        _ = nine => {}
        _ = backlog => panic!("nobody waited any more"),
    }
    let share = time.as_secs_f64() / PERIOD.as_secs_f64() / 10.0;
    for (call, served) in &modest {
        let served = f64::from(served.get());
        assert!((served - share).abs() <= 2.0, "{}: {served} of {share}", call.caller.name);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_different_weights_share_by_their_weights() {
    let line = long_line();
    let calls = [("one", 1), ("three", 3)].map(|(name, weight)| {
        let caller = Caller { weight, ..Caller::named(name) };
        Call { caller, ..of(name) }
    });
    let order = RefCell::new(Vec::new());
    let all = calls.iter().flat_map(|call| std::iter::repeat_n(call, 200)).map(async |call| {
        use_up(
            line.permit(call, &Audience::of_one(call.class, call.deadline)).await.expect("its turn comes"),
        );
        order.borrow_mut().push(call.caller.weight);
    });
    join_all(all).await;
    let light = order.borrow()[..200].iter().filter(|weight| **weight == 1).count();
    assert!((49..=51).contains(&light), "{light}");
}

#[tokio::test(start_paused = true)]
async fn one_caller_fills_no_more_than_its_part_of_the_line_where_others_wait_too() {
    let line = line(|s| s.waiting_max_per_caller = 3);
    let (greedy, modest) = (of("greedy"), of("modest"));
    let mut waiting: Vec<_> = (0..5).map(|_| asks(&line, &greedy)).collect();
    assert_eq!(line.status().waiting, 5, "alone it may have it all");
    waiting.push(asks(&line, &modest));
    let no = asks(&line, &greedy).await.map(use_up).expect_err("it has five");
    assert_eq!((no.status().as_u16(), no.code()), (429, "queue_full"));
    waiting.extend((0..2).map(|_| asks(&line, &modest)));
    assert_eq!(line.status().waiting, 8);
    let no = asks(&line, &modest).await.map(use_up).expect_err("it has three");
    assert_eq!(no.code(), "queue_full");
    assert!(used_up(waiting).await.into_iter().all(|granted| granted.is_ok()), "nobody is sent away for it");
}

#[tokio::test(start_paused = true)]
async fn of_more_calls_than_the_rate_bears_whose_clients_leave_hardly_any_permit_is_lost() {
    let (line, call, start) = (line(|_| {}), of("impatient"), now());
    let (served, minutes) = (Cell::new(0_u64), Duration::from_secs(300));
    let clients = join_all(
        (0_u32..)
            .map_while(|n| {
                let comes = PERIOD.div_f64(1.2) * n;
                (comes < minutes).then_some((n, comes))
            })
            .map(async |(n, comes)| {
                tokio::time::sleep_until(start + comes).await;
                let patience = Duration::from_millis(3_000 + u64::from(n) * 1_237 % 5_000);
                if let Ok(Ok(permit)) = timeout(patience, asks(&line, &call)).await {
                    use_up(permit);
                    served.set(served.get() + 1);
                }
            }),
    );
    clients.await;
    let (served, lost) = (served.get() as f64, wasted(&line) as f64);
    assert!(served >= 0.99 * (served + lost), "{served} and {lost} lost");
    assert!(served >= 0.99 * minutes.as_secs_f64() / PERIOD.as_secs_f64(), "{served}");
}

/// A line whose driver's turns are counted.
fn counted(turns: &Arc<std::sync::atomic::AtomicUsize>) -> Throttle {
    let line = Arc::new(Line::new(settings(), Arc::new(Metrics::new(Vec::new())), now()));
    let (mut driver, turns) = (Box::pin(Arc::clone(&line).drive()), Arc::clone(turns));
    let counting = poll_fn(move |context: &mut Context<'_>| -> Poll<()> {
        turns.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        driver.as_mut().poll(context)
    });
    Throttle { line, _driver: Arc::new(AbortOnDropHandle::new(tokio::spawn(counting))) }
}

#[tokio::test(start_paused = true)]
async fn a_grant_costs_the_driver_the_same_few_turns_however_many_wait() {
    let turns = Arc::default();
    let (line, call) = (counted(&turns), of("any"));
    let waiting: Vec<_> = (0..500).map(|_| asks(&line, &call)).collect();
    assert!(used_up(waiting).await.into_iter().all(|granted| granted.is_ok()));
    let turns = turns.load(std::sync::atomic::Ordering::Relaxed);
    // One when the time comes, one when the permit has served.
    assert!(turns <= 500 * 3, "{turns} turns for 500 grants");
}
