//! What becomes of endpoints, told to the log and to an observer. Always without the lock.

use crate::caught::{caught, one_line, say};

use super::Shared;
use super::books::Change;
use super::cap::Changed;
use super::observer::EndpointChange;

impl<T> Shared<T> {
    pub(super) fn tell(&self, index: usize, change: Option<Change>) {
        let Some(change) = change else { return };
        let (balancer, name) = (&self.name, &self.fixed[index].name);
        self.observe(index, || match change {
            Change::Rests { rest, why } => EndpointChange::Rests { rest, why },
            Change::Kept { why, .. } => EndpointChange::Stays { why },
            Change::Back => EndpointChange::Back,
        });
        match change {
            Change::Rests { rest, why } => {
                say!(
                    Warn,
                    {
                        balancer = **balancer,
                        endpoint = **name,
                        event = "rests",
                        pause = rest.as_secs_f64(),
                        reason:% = why,
                    },
                    "balancer \"{balancer}\": endpoint \"{name}\" rests for {rest:.1?}: {why}"
                );
            }
            Change::Kept { why, resting } => {
                let rest = if resting == 1 { "rests" } else { "rest" };
                say!(
                    Warn,
                    {
                        balancer = **balancer,
                        endpoint = **name,
                        event = "stays",
                        reason:% = why,
                    },
                    "balancer \"{balancer}\": endpoint \"{name}\" fails, but stays in service, as {resting} \
                     of {} {rest}: {why}",
                    self.fixed.len()
                );
            }
            Change::Back => {
                say!(
                    Info,
                    { balancer = **balancer, endpoint = **name, event = "back" },
                    "balancer \"{balancer}\": endpoint \"{name}\" is back in service"
                )
            }
        }
    }

    pub(super) fn tell_cap(&self, index: usize, changed: Option<Changed>) {
        let Some(changed) = changed else { return };
        let (balancer, name) = (&self.name, &self.fixed[index].name);
        self.observe(index, || EndpointChange::Capped {
            max_in_use: changed.to,
            why: changed.why.to_string().into(),
        });
        say!(
            Info,
            {
                balancer = **balancer,
                endpoint = **name,
                event = "cap",
                max = changed.to,
                reason:% = changed,
            },
            "balancer \"{balancer}\": endpoint \"{name}\": {changed}"
        );
    }

    fn observe(&self, index: usize, change: impl FnOnce() -> EndpointChange) {
        let Some(observer) = &self.observer else { return };
        let (balancer, name) = (&self.name, &self.fixed[index].name);
        if let Err(said) = caught(|| observer.changed(balancer, name, &change())) {
            say!(
                Error,
                { balancer = **balancer, event = "panicked", reason:% = one_line(&said) },
                "balancer \"{balancer}\": the observer panicked: {}",
                one_line(&said)
            );
        }
    }
}
