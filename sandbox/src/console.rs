//! Show what the sandbox sees and does, on a page that keeps up with it.
//!
//! The page, and the stream that keeps it up to date, show one [`View`]. The page knows nothing else.

mod host;
pub(crate) mod journal;
mod page;
mod plot;
mod view;
mod viewers;
mod words;

use std::sync::Mutex;

pub(crate) use self::host::own_host;
pub(crate) use self::page::{page, script, style};
pub(crate) use self::plot::plot;
pub(crate) use self::view::{FaultView, PolicyView, RowView, View};
pub(crate) use self::viewers::{ShutdownSignal, Viewer, Viewers};
pub(crate) use self::words::more;
use crate::console::journal::Journal;

/// Where there is a console: the page at `/` that shows what the sandbox sees and does.
///
/// It asks for no key, so it is meant for the eyes of whoever started the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Console {
    /// Where the sandbox listens on a loopback address, for this machine alone.
    #[default]
    OnLoopback,
    /// On whatever address the sandbox listens, for everybody who can reach it.
    Always,
    /// Nowhere. What happened is then not remembered for it; `Sandbox::requests` still is.
    Never,
}

/// What the console knows.
#[derive(Debug)]
pub(crate) struct ConsoleState {
    pub(crate) journal: Mutex<Journal>,
    pub(crate) viewers: Viewers,
}

impl ConsoleState {
    pub(crate) fn new(viewers: Viewers) -> Self {
        Self { journal: Mutex::new(Journal::new()), viewers }
    }
}
