//! What can be done to sockets by a POST.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};
use serde::{Deserialize, Serialize};

use super::{Registry, named};
use crate::admin::Admin;
use crate::admin::answer::{Answer, refused, told};
use crate::websocket::CheckReport;

/// What `/v1/sockets/check` takes, if anything.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// The name of a registry; none for all.
    sockets: Option<String>,
}

/// What came of pings that were asked for.
#[derive(Default, Serialize)]
struct Checked {
    checked: usize,
    answered: usize,
    ended: usize,
    left_alone: usize,
    /// Whether some pongs are still waited for; what came of these is not counted here.
    under_way: bool,
}

/// Pings, and waits for the pongs for `check_wait`. A peer may take `ping_timeout` to answer, which is
/// longer, so a thread of its own waits for each registry, of which there is one at a time.
pub(super) fn check(admin: &Admin, body: &[u8]) -> Answer {
    let which = match body {
        [] => Ok(Which::default()),
        body => serde_json::from_slice(body),
    };
    let which = match which {
        Ok(which) => which,
        Err(error) => return refused(400, format_args!("not what can be checked: {error}")),
    };
    let registries = match named(admin, which.sockets.as_deref()) {
        Ok(registries) => registries,
        Err(refusal) => return *refusal,
    };
    let (tell, reports) = bounded(registries.len());
    let until = Instant::now().checked_add(admin.config.check_wait);
    for registry in &registries {
        if let Err(error) = registry.start_check(tell.clone()) {
            return refused(503, format_args!("no thread could be had to wait for pongs: {error}"));
        }
    }
    drop(tell);
    let (mut done, mut ended) = (Checked::default(), 0);
    let next = || match until {
        Some(until) => reports.recv_deadline(until).ok(),
        None => reports.recv().ok(),
    };
    while let Some(report) = next() {
        ended += 1;
        done.add(report);
    }
    done.under_way = ended < registries.len();
    let Checked { checked, answered, ended, under_way, .. } = done;
    let more = if under_way { ", more are under way" } else { "" };
    let message =
        format!("{checked} sockets were pinged: {answered} answered, {ended} ended{more}");
    told(done, message)
}

impl Checked {
    fn add(&mut self, report: CheckReport) {
        let CheckReport { checked, answered, ended, left_alone } = report;
        for (sum, more) in [
            (&mut self.checked, checked),
            (&mut self.answered, answered),
            (&mut self.ended, ended),
            (&mut self.left_alone, left_alone),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Registry {
    /// Nothing, if a check is under way.
    fn start_check(&self, tell: Sender<CheckReport>) -> std::io::Result<()> {
        if self.checking.swap(true, SeqCst) {
            return Ok(());
        }
        let (under_way, sockets) = (UnderWay(self.checking.clone()), self.sockets.clone());
        let named = thread::Builder::new().name("llm-pool-admin-check".into());
        let check = move || {
            let report = sockets.check_all();
            drop(under_way);
            // Who asked may have gone.
            let _ = tell.send(report);
        };
        named.spawn(check).map(drop)
    }
}

/// Ends with the check, also if no thread is had for it.
struct UnderWay(Arc<AtomicBool>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// What `/v1/sockets/close` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    /// The name of a registry; needed if several have a socket of this id.
    sockets: Option<String>,
    id: String,
}

#[derive(Serialize)]
struct Closed {
    sockets: String,
    id: String,
    /// What it did until then.
    state: &'static str,
}

pub(super) fn close(admin: &Admin, body: &[u8]) -> Answer {
    let Close { sockets, id } = match serde_json::from_slice(body) {
        Ok(close) => close,
        Err(error) => return refused(400, format_args!("not what can be closed: {error}")),
    };
    let registries = match named(admin, sockets.as_deref()) {
        Ok(registries) => registries,
        Err(refusal) => return *refusal,
    };
    let with_state = |it: &&Registry| it.sockets.state(&id).map(|state| state.name());
    let mut found = registries.iter().filter_map(|it| Some((it, with_state(it)?)));
    let unknown = || refused(404, format_args!("there is no socket \"{id}\""));
    let Some((registry, state)) = found.next() else { return unknown() };
    if found.next().is_some() {
        let message = format_args!("several have a socket \"{id}\": name one of them as sockets");
        return refused(400, message);
    }
    // Another may have been quicker.
    if registry.sockets.remove(&id).is_err() {
        return unknown();
    }
    let sockets = registry.name.clone();
    let message = format!("the socket {id} of {sockets} is closed, once nobody holds it");
    told(Closed { sockets, id, state }, message)
}
