//! What the two servers of this crate have in common: how a request is read off a connection, and a
//! listener with a long queue. No states and no lock.

mod listen;
mod read;

pub(crate) use listen::listen;
pub(crate) use read::{Bounds, Method, ReadError, Reader, Request};
