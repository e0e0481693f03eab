//! What the books found worth telling: carried out after the lock, one log line each.

use std::sync::{Arc, Weak};

use super::checkers;
use super::manage::Manage;
use super::shared::Shared;
use super::slots::Alert;
use crate::caught::say;

impl<M: Manage> Shared<M> {
    pub(super) fn tell(self: &Arc<Self>, alert: Alert) {
        let (pool, key) = (&**self.name(), self.key());
        match alert {
            Alert::NearlyFull => {
                let stats = self.stats();
                say!(
                    Warn,
                    { pool = pool, key:? = key, event = "nearly_full", ..stats },
                    "pool \"{pool}\": nearly full: {stats}"
                );
            }
            Alert::Leak { holder, held } => {
                let (thread, at) = (holder.thread_name(), holder.place());
                say!(
                    Warn,
                    {
                        pool = pool,
                        key:? = key,
                        event = "leak",
                        held = held.as_secs_f64(),
                        thread = thread,
                        at:% = at,
                    },
                    "pool \"{pool}\": a lease has been held for {held:.1?}, by thread \"{thread}\", \
                     taken at {at}"
                );
            }
            Alert::Unhealthy { error } => say!(
                Warn,
                { pool = pool, key:? = key, event = "unhealthy", reason = *error },
                "pool \"{pool}\": an item is unhealthy: {error}"
            ),
            Alert::Recovered => say!(
                Info,
                { pool = pool, key:? = key, event = "recovered" },
                "pool \"{pool}\": an unhealthy item passed its check again"
            ),
            Alert::ChecksDue => {
                let pool: Weak<Self> = Arc::downgrade(self);
                checkers::announce(&self.check_group, pool);
            }
            Alert::CheckGivenUp { check, ran } => {
                checkers::give_up(check);
                say!(
                    Warn,
                    {
                        pool = pool,
                        key:? = key,
                        event = "check_given_up",
                        took = ran.as_secs_f64(),
                    },
                    "pool \"{pool}\": gives up a check that has run for {ran:.1?}"
                );
            }
            Alert::CleanedUp { evicted, refilled, due } => say!(
                Debug,
                {
                    pool = pool,
                    key:? = key,
                    event = "cleaned_up",
                    evicted = evicted,
                    refilled = refilled,
                    checks = due,
                },
                "pool \"{pool}\": clean-up: {evicted} evicted, {refilled} to be created, {due} to be \
                 checked"
            ),
        }
    }
}
