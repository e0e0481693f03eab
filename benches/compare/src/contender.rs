//! The two pools of rows 1 to 4 behind one interface. Their items are plain numbers, so that the
//! pools themselves are what is measured.

use std::convert::Infallible;
use std::hint::black_box;

use llm_pool::{Manage, Pool, PoolConfig};

use crate::Outcome;

pub trait Contender: Sync {
    /// Takes an item, has it held, puts it back.
    fn turn(&self, hold: impl FnOnce());
}

pub struct Numbers;

impl Manage for Numbers {
    type Item = u64;
    type Error = Infallible;

    fn create(&self) -> Result<u64, Infallible> {
        Ok(7)
    }
}

impl r2d2::ManageConnection for Numbers {
    type Connection = u64;
    type Error = Infallible;

    fn connect(&self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

/// This library.
pub struct Ours(Pool<Numbers>);
pub struct R2d2(r2d2::Pool<Numbers>);

/// Both, full to the cap before anything is measured.
pub fn both(items: u32) -> Outcome<(Ours, R2d2)> {
    let config = PoolConfig::default().min_idle(items as usize).max_size(items as usize);
    let ours = Ours(Pool::new(config, Numbers)?);
    // Asking the item whether it is well at every get is the one default of r2d2 that would be
    // unfair to it: this library asks in the background.
    let r2d2 = r2d2::Pool::builder().max_size(items).test_on_check_out(false).build(Numbers)?;
    Ok((ours, R2d2(r2d2)))
}

impl Contender for Ours {
    #[inline]
    fn turn(&self, hold: impl FnOnce()) {
        let item = self.0.get().expect("an item within 30 s");
        black_box(&*item);
        hold();
    }
}

impl Contender for R2d2 {
    #[inline]
    fn turn(&self, hold: impl FnOnce()) {
        let item = self.0.get().expect("an item within 30 s");
        black_box(&*item);
        hold();
    }
}
