//! The connections of a listener, no more than there is room for: who keeps others waiting is
//! evicted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::state::ConnectionState;
use crate::lock::lock;

/// The connections of one listener. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ConnectionTable {
    most: usize,
    entries: Arc<Mutex<Entries>>,
    /// Told when a connection ends, or waits for its client again.
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Entries {
    last_id: u64,
    /// Those that have not been told to give way.
    open: HashMap<u64, Arc<ConnectionState>>,
    /// How many there are, with those that were told and are not gone yet.
    count: usize,
}

impl ConnectionTable {
    pub(super) fn new(most: usize) -> Self {
        Self { most, entries: Arc::default(), freed: Arc::default() }
    }

    pub(super) fn open(&self) -> ConnectionGuard {
        let mut entries = self.entries();
        entries.last_id += 1;
        entries.count += 1;
        let connection = Arc::new(ConnectionState::new(entries.last_id));
        entries.open.insert(connection.id, Arc::clone(&connection));
        ConnectionGuard { connection, table: self.clone() }
    }

    pub(super) fn freed(&self) -> Arc<Notify> {
        Arc::clone(&self.freed)
    }

    /// Waits until one more connection fits.
    pub(super) async fn make_room(&self) {
        // One end for all turns: calls that end without a connection becoming free are news too.
        let end = Instant::now() + ROOM_TIMEOUT;
        while !self.has_room() {
            if !self.evict_one() && timeout_at(end, self.freed.notified()).await.is_err() {
                self.evict_oldest();
            }
        }
    }

    /// Tells the connection to end that has kept the sandbox waiting for longest, if there is one.
    pub(super) fn evict_one(&self) -> bool {
        let mut entries = self.entries();
        let waiting = entries
            .open
            .values()
            .filter_map(|connection| Some((connection.waits_since()?, connection.id)));
        let longest = waiting.min();
        longest.is_some_and(|(_, id)| entries.evict(id))
    }

    pub(super) async fn all_gone(&self) {
        while self.entries().count > 0 {
            self.freed.notified().await;
        }
    }

    fn evict_oldest(&self) {
        let mut entries = self.entries();
        let oldest =
            entries.open.values().map(|connection| (connection.since(), connection.id)).min();
        if let Some((_, id)) = oldest {
            entries.evict(id);
        }
    }

    fn has_room(&self) -> bool {
        self.entries().open.len() < self.most
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }
}

/// A connection that is there until this is dropped, even by a panic.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    pub(super) connection: Arc<ConnectionState>,
    table: ConnectionTable,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut entries = self.table.entries();
        entries.open.remove(&self.connection.id);
        entries.count -= 1;
        drop(entries);
        self.table.freed.notify_one();
    }
}

impl Entries {
    fn evict(&mut self, id: u64) -> bool {
        let connection = self.open.remove(&id);
        connection.inspect(|connection| connection.evict()).is_some()
    }
}

/// How long a new connection waits for one that could give way.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Whether a connection has been told to give way.
    async fn is_told(connection: &ConnectionState) -> bool {
        timeout(Duration::ZERO, connection.evicted()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_kept_others_waiting_for_longest_gives_way() {
        let table = ConnectionTable::new(3);
        let open = [(); 3].map(|()| table.open());
        let [first, second, third] = open.each_ref().map(|open| &open.connection);
        // Its request has arrived, so it is the sandbox that keeps it waiting.
        first.begin();
        first.received();
        tokio::time::advance(Duration::from_secs(1)).await;
        // Something happened here since.
        second.begin();
        table.make_room().await;
        assert!(is_told(third).await);
        assert!(!is_told(first).await && !is_told(second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_waits_for_an_answer_that_is_under_way() {
        let table = ConnectionTable::new(1);
        let open = table.open();
        let busy = &open.connection;
        busy.begin();
        busy.received();
        let room = tokio::spawn({
            let table = table.clone();
            async move { table.make_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!is_told(busy).await && !room.is_finished());
        busy.end(true);
        table.freed().notify_one();
        room.await.expect("room");
        assert!(is_told(busy).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_connection_makes_room_and_is_waited_for() {
        let table = ConnectionTable::new(1);
        let open = table.open();
        open.connection.begin();
        open.connection.received();
        let gone = tokio::spawn({
            let table = table.clone();
            async move { table.all_gone().await }
        });
        tokio::task::yield_now().await;
        assert!(!table.has_room() && !gone.is_finished());
        drop(open);
        assert!(timeout(ROOM_TIMEOUT, gone).await.is_ok());
        let ended = Instant::now();
        table.make_room().await;
        assert_eq!(ended.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_gives_way_in_the_end() {
        let table = ConnectionTable::new(1);
        let open = table.open();
        let endless = &open.connection;
        endless.begin();
        endless.received();
        let started = Instant::now();
        table.make_room().await;
        assert_eq!(started.elapsed(), ROOM_TIMEOUT);
        assert!(is_told(endless).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_waits_no_longer_because_calls_end_on_one_that_stays_busy() {
        let table = ConnectionTable::new(1);
        let open = table.open();
        open.connection.begin();
        open.connection.received();
        let freed = table.freed();
        tokio::spawn(async move {
            loop {
                sleep(ROOM_TIMEOUT / 3).await;
                freed.notify_one();
            }
        });
        assert!(timeout(ROOM_TIMEOUT * 2, table.make_room()).await.is_ok());
        assert!(is_told(&open.connection).await);
    }
}
