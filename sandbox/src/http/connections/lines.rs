//! Keep no more connections than there is room for: who keeps others waiting gives way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::line::Line;

/// The connections of one listener. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    most: usize,
    state: Arc<Mutex<State>>,
    /// Told when a connection ends, or waits for its client again.
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    /// Those that have not been told to give way.
    open: HashMap<u64, Arc<Line>>,
    /// How many there are, with those that were told and are not gone yet.
    count: usize,
}

impl Lines {
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Arc::default(), news: Arc::default() }
    }

    pub(super) fn open(&self) -> Open {
        let mut state = self.state();
        state.last_id += 1;
        state.count += 1;
        let line = Arc::new(Line::new(state.last_id));
        state.open.insert(line.id, Arc::clone(&line));
        Open { line, lines: self.clone() }
    }

    pub(super) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Waits until one more connection fits.
    pub(super) async fn make_room(&self) {
        // One end for all turns: calls that end without a connection becoming free are news too.
        let end = Instant::now() + PATIENCE;
        while !self.has_room() {
            if !self.one_gives_way() && timeout_at(end, self.news.notified()).await.is_err() {
                self.oldest_gives_way();
            }
        }
    }

    /// Tells the connection to end that has kept the sandbox waiting for longest, if there is one.
    pub(super) fn one_gives_way(&self) -> bool {
        let mut state = self.state();
        let waiting = state.open.values().filter_map(|line| Some((line.waits_since()?, line.id)));
        let longest = waiting.min();
        longest.is_some_and(|(_, id)| state.give_way(id))
    }

    pub(super) async fn all_gone(&self) {
        while self.state().count > 0 {
            self.news.notified().await;
        }
    }

    fn oldest_gives_way(&self) {
        let mut state = self.state();
        let oldest = state.open.values().map(|line| (line.since(), line.id)).min();
        if let Some((_, id)) = oldest {
            state.give_way(id);
        }
    }

    fn has_room(&self) -> bool {
        self.state().open.len() < self.most
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is there until this is dropped, even by a panic.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) line: Arc<Line>,
    lines: Lines,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.lines.state();
        state.open.remove(&self.line.id);
        state.count -= 1;
        drop(state);
        self.lines.news.notify_one();
    }
}

impl State {
    fn give_way(&mut self, id: u64) -> bool {
        let line = self.open.remove(&id);
        line.inspect(|line| line.give_way()).is_some()
    }
}

/// How long a new connection waits for one that could give way.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Whether a connection has been told to give way.
    async fn is_told(line: &Line) -> bool {
        timeout(Duration::ZERO, line.gives_way()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_kept_others_waiting_for_longest_gives_way() {
        let lines = Lines::new(3);
        let open = [(); 3].map(|()| lines.open());
        let [first, second, third] = open.each_ref().map(|open| &open.line);
        // Its request has arrived, so it is the sandbox that keeps it waiting.
        first.begin();
        first.received();
        tokio::time::advance(Duration::from_secs(1)).await;
        // Something happened here since.
        second.begin();
        lines.make_room().await;
        assert!(is_told(third).await);
        assert!(!is_told(first).await && !is_told(second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_waits_for_an_answer_that_is_under_way() {
        let lines = Lines::new(1);
        let open = lines.open();
        let busy = &open.line;
        busy.begin();
        busy.received();
        let room = tokio::spawn({
            let lines = lines.clone();
            async move { lines.make_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!is_told(busy).await && !room.is_finished());
        busy.end(true);
        lines.news().notify_one();
        room.await.expect("room");
        assert!(is_told(busy).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_gives_way_in_the_end() {
        let lines = Lines::new(1);
        let open = lines.open();
        let endless = &open.line;
        endless.begin();
        endless.received();
        let started = Instant::now();
        lines.make_room().await;
        assert_eq!(started.elapsed(), PATIENCE);
        assert!(is_told(endless).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_waits_no_longer_because_calls_end_on_one_that_stays_busy() {
        let lines = Lines::new(1);
        let open = lines.open();
        open.line.begin();
        open.line.received();
        let news = lines.news();
        tokio::spawn(async move {
            loop {
                sleep(PATIENCE / 3).await;
                news.notify_one();
            }
        });
        assert!(timeout(PATIENCE * 2, lines.make_room()).await.is_ok());
        assert!(is_told(&open.line).await);
    }
}
