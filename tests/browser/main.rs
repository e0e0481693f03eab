//! The status page in headless Chromium. `.ci/browser` installs what this needs and runs it.

mod driver;
mod house;
mod looks;
mod sockets;
mod under_load;
