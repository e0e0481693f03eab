//! What the pools of a scenario pool: items that are counted, made by a manager that fails when it
//! is told to.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use llm_pool::{Manage, Terms};

/// A scenario's own books. Plain atomics: they are no part of what is checked, and the checker need
/// not try their orders.
#[derive(Default)]
pub struct Books {
    /// Items that were made and not dropped.
    pub alive: AtomicUsize,
    /// Of these, the ones that a scenario keeps, detached.
    pub detached: AtomicUsize,
    pub created: AtomicU64,
    pub create_failures: AtomicU64,
    pub lent: AtomicU64,
    /// What was seen in code that the pool runs, where a panic would be caught.
    pub wrong: Mutex<Option<String>>,
}

impl Books {
    pub fn note_wrong(&self, what: &str) {
        self.wrong.lock().expect("nothing panics under it").get_or_insert(what.to_owned());
    }
}

/// What becomes of a creation.
#[derive(Clone, Copy)]
pub enum Made {
    Well,
    Fails,
    Panics,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Well,
    Fails,
}

/// Makes items: the first ones as its plan says, the others well.
pub struct Maker {
    books: Arc<Books>,
    creations: Mutex<VecDeque<Made>>,
    checks: Mutex<VecDeque<Checked>>,
}

impl Maker {
    pub fn new(books: Arc<Books>, creations: &[Made], checks: &[Checked]) -> Self {
        let creations = Mutex::new(creations.iter().copied().collect());
        Self { books, creations, checks: Mutex::new(checks.iter().copied().collect()) }
    }
}

pub struct Item {
    books: Arc<Books>,
    is_lent: AtomicBool,
    /// To be discarded when it comes back.
    pub is_broken: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("planned to fail")]
pub struct Planned;

impl Manage for Maker {
    type Item = Item;
    type Error = Planned;

    fn create(&self) -> Result<Item, Planned> {
        let made = self.creations.lock().expect("nothing panics under it").pop_front();
        match made.unwrap_or(Made::Well) {
            Made::Well => {
                self.books.created.fetch_add(1, SeqCst);
                self.books.alive.fetch_add(1, SeqCst);
                Ok(Item {
                    books: self.books.clone(),
                    is_lent: AtomicBool::new(false),
                    is_broken: false,
                })
            }
            Made::Fails => {
                self.books.create_failures.fetch_add(1, SeqCst);
                Err(Planned)
            }
            Made::Panics => {
                self.books.create_failures.fetch_add(1, SeqCst);
                // Past the panic hook, by which the checker would take it for the end.
                resume_unwind(Box::new("planned to panic"))
            }
        }
    }

    fn check(&self, item: &mut Item) -> Result<(), Planned> {
        if item.is_lent.load(SeqCst) {
            self.books.note_wrong("an item is checked that is lent");
        }
        shuttle::thread::yield_now();
        let checked = self.checks.lock().expect("nothing panics under it").pop_front();
        if checked == Some(Checked::Fails) { Err(Planned) } else { Ok(()) }
    }

    fn lend(&self, item: &mut Item, _: Terms) {
        self.books.lent.fetch_add(1, SeqCst);
        if item.is_lent.swap(true, SeqCst) {
            self.books.note_wrong("an item is lent twice");
        }
    }

    fn is_broken(&self, item: &mut Item) -> bool {
        if !item.is_lent.swap(false, SeqCst) {
            self.books.note_wrong("an item comes back that was not lent");
        }
        item.is_broken
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.books.alive.fetch_sub(1, SeqCst);
    }
}
