//! What a refusal says: all that is needed to know why, in one line.

mod support;

use std::time::Duration;

use llm_pool::{GetError, Lease, ManualClock, Picture};
use log::Level;
use support::*;

/// Takes the picture of a refusal apart.
#[track_caller]
fn picture(error: &GetError<Refusal>) -> &Picture {
    match error {
        GetError::Timeout { picture, .. }
        | GetError::Exhausted { picture, .. }
        | GetError::QueueFull { picture, .. } => picture,
        other => unreachable!("{other:?} has no picture"),
    }
}

#[test]
fn a_time_out_paints_the_whole_picture_in_one_line() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("whole picture", 2, &time), &script);
    script.on_create.set(fail("connection refused"));
    assert!(pool.get().is_err());
    script.on_create.set(succeed());
    let mut leases = vec![];
    for _ in 0..2 {
        let pool = pool.clone();
        leases.push(spawn(move || pool.get().unwrap()).result());
    }
    let line = line!() - 2;
    time.advance(secs(3));
    let first = waiter(&pool, secs(1000));
    let second = waiter(&pool, secs(30));
    time.advance(secs(30));
    let error = second.result().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "timed out after 30.0s waiting for an item of pool \"whole picture\": max_size 2, \
             in use 2, idle 0, creating 0, waiting 1, place in the queue 2, oldest lease out for \
             33.0s, taken at {}:{line}:40, last creation error 33.0s ago: connection refused; \
             raise max_size, wait longer, or hold leases for less time",
            file!()
        )
    );
    let picture = picture(&error);
    assert_eq!((&*picture.pool, picture.place()), ("whole picture", Some(2)));
    assert_eq!((picture.stats.in_use, picture.held_by_caller), (2, 0));
    let told = logs::matching("whole picture", Level::Warn, "timed out");
    assert_eq!(told, [error.to_string()], "and is logged, once, as it is returned");
    drop(leases);
    drop(first.result());
}

#[test]
fn a_time_out_while_creation_is_slow_says_so() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("slow creation", 2, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiter = waiter(&pool, secs(5));
    time.advance(secs(5));
    let text = waiter.result().unwrap_err().to_string();
    assert!(text.contains("in use 0, idle 0, creating 1"), "{text}");
    assert!(text.contains("creation is slow: raise min_idle"), "{text}");
    gate.open();
}

#[test]
fn a_time_out_tells_of_items_being_checked_or_unhealthy() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("checking", 1, &time), &script);
    drop(pool.get().unwrap());
    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    // Else the waiter might be sooner, and take the item.
    gate.await_entered(1);
    let waiter = waiter(&pool, secs(5));
    time.advance(secs(5));
    let text = waiter.result().unwrap_err().to_string();
    assert!(text.contains("creating 0, checking 1, waiting 0"), "{text}");
    gate.open();
}

#[test]
fn an_error_over_several_lines_still_makes_one_line() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("many lines", 1, &time), &script);
    script.on_create.set(fail("refused\r\nby the peer\nat last"));
    assert!(pool.get().is_err());
    script.on_create.set(succeed());
    let lease = pool.get().unwrap();
    let error = pool.get_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert!(error.to_string().contains("refused by the peer at last"), "{error}");
    for line in logs::of("many lines") {
        assert_eq!(line.text.lines().count(), 1, "{line:?}");
    }
    drop(lease);
}

#[test]
fn a_thread_that_may_be_waiting_for_itself_is_told_so() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("itself", 2, &time), &script);
    let (asking, line) = {
        let pool = pool.clone();
        let work = move || {
            let _held = take(&pool, 2);
            pool.get_timeout(secs(30)).unwrap_err()
        };
        (spawn(work), line!() - 2)
    };
    eventually(|| pool.stats().waiting == 1);
    // The warning comes when the wait begins, not when it has failed.
    let told = || logs::matching("itself", Level::Warn, "may be for its own thread");
    eventually(|| told().len() == 1);
    assert!(told()[0].contains(&format!("{}:{line}", file!())), "{:?}", told());
    assert!(!asking.is_done());
    time.advance(secs(30));
    let error = asking.result();
    assert_eq!(picture(&error).held_by_caller, 2);
    let advice = "; this thread took 2 of those in use and may be waiting for itself: put them \
                  back first, or raise max_size to threads x (leases per thread - 1) + 1";
    assert!(error.to_string().ends_with(advice), "{error}");
}

#[test]
fn a_thread_that_holds_leases_of_another_pool_only_is_not_accused() {
    let (script, time) = (Script::new(), ManualClock::new());
    let other = start(manual("other pool", 1, &time), &script);
    let pool = start(manual("not itself", 1, &time), &script);
    let _elsewhere = pool.get().unwrap();
    let asking = spawn({
        let pool = pool.clone();
        move || {
            let _held = other.get().unwrap();
            pool.get_timeout(secs(30)).unwrap_err()
        }
    });
    eventually(|| pool.stats().waiting == 1);
    time.advance(secs(30));
    let error = asking.result();
    assert_eq!(picture(&error).held_by_caller, 0);
    assert!(logs::matching("not itself", Level::Warn, "its own thread").is_empty());
}

#[test]
fn a_thread_that_has_put_back_is_not_accused() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("paid back", 3, &time), &script);
    drop(pool.get().unwrap());
    Lease::discard(pool.get().unwrap());
    drop(Lease::detach(pool.get().unwrap()));
    let elsewhere = spawn({
        let pool = pool.clone();
        move || take(&pool, 3)
    })
    .result();
    let error = pool.get_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(picture(&error).held_by_caller, 0);
    drop(elsewhere);
}

#[test]
fn try_get_at_the_cap_is_exhausted_and_below_it_creates() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("try_get", 2, &time), &script);
    let (first, second) = (pool.try_get().unwrap(), pool.try_get().unwrap());
    assert_eq!((first.number, second.number), (1, 2));
    let error = pool.try_get().unwrap_err();
    assert!(matches!(error, GetError::Exhausted { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("no item free in pool \"try_get\": max_size 2, in use 2"), "{text}");
    assert!(!text.contains("place in the queue"), "{text}");
    assert!(text.ends_with("; raise max_size, or wait with get"), "{text}");
    drop(first);
    assert_eq!(pool.try_get().unwrap().number, 1);
    assert_eq!((pool.stats().gets, pool.stats().waits, script.made()), (3, 0, 2));
}

#[test]
fn those_for_whom_an_item_is_being_created_do_not_count_as_waiting() {
    let (script, time, gate) = (Script::new(), ManualClock::new(), Gate::new());
    let pool = start(manual("no queue", 2, &time).max_waiting(0), &script);
    script.on_create.set(gate.before(succeed()));
    let (first, second) = (waiter(&pool, secs(9)), waiter(&pool, secs(9)));
    gate.await_entered(2);
    assert!(matches!(pool.get(), Err(GetError::QueueFull { .. })));
    gate.open();
    let leases = (first.result().unwrap(), second.result().unwrap());
    assert!(matches!(pool.get(), Err(GetError::QueueFull { .. })));
    drop(leases);
    assert!(pool.get().is_ok());
}

#[test]
fn one_more_than_max_waiting_is_turned_away_at_once() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("queue full", 1, &time).max_waiting(2), &script);
    let lease = pool.get().unwrap();
    let waiters = [waiter(&pool, secs(1000)), waiter(&pool, secs(1000))];
    // Time stands still, so a wait would not end.
    let error = spawn({
        let pool = pool.clone();
        move || pool.get().unwrap_err()
    })
    .result();
    assert!(matches!(error, GetError::QueueFull { .. }), "{error:?}");
    assert_eq!(picture(&error).stats.waiting, 2);
    let text = error.to_string();
    assert!(text.starts_with("too many threads wait for an item of pool \"queue full\""), "{text}");
    assert!(text.ends_with("; raise max_waiting (2) or max_size"), "{text}");
    assert_eq!((pool.stats().queue_full, pool.stats().timeouts), (1, 0));
    drop(lease);
    for waiter in waiters {
        drop(waiter.result().unwrap());
    }
    drop(pool.get().unwrap());
}

#[test]
fn a_creation_error_keeps_its_source() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("source", 1, &time), &script);
    script.on_create.set(fail("refused"));
    let error = pool.get().unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.downcast_ref::<Refusal>().is_some());
}

#[test]
fn what_is_printed_for_debugging_shows_neither_item_nor_manager() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("discreet", 1, &time), &script);
    let lease = pool.get().unwrap();
    let text = format!("{pool:?} {lease:?}");
    assert!(text.contains("discreet"), "{text}");
    assert!(!text.contains("number") && !text.contains("Script"), "{text}");
}
