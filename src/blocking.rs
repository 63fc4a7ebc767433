//! The client for synchronous code.
//!
//! **Feature:** `blocking` (*enabled by default*).

use std::fmt;
use std::future::Future;
use std::io;
use std::process;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::{
    AsyncEsperClient, BeaconEvent, ChallengeProof, ClientStats, EsperConfig, EsperError,
    MitigationRequest, MitigationResponse, UsageStats,
};

/// Asks Esper, from synchronous code.
///
/// Each method is that of [`AsyncEsperClient`] and blocks the calling thread until the answer is
/// there. It works with and without a tokio runtime around it; in asynchronous code, where
/// blocking a thread holds up other tasks, [`AsyncEsperClient`] is the better choice.
///
/// A clone is cheap and shares the connections of its original. They are kept by one thread of
/// the client's own, which ends with the last clone. A process that forks makes its client after
/// the fork; one from before it answers with an error. So does a call that a thread-local makes when
/// its thread ends.
///
/// ```no_run
/// use esper_rs_client::{EsperClient, EsperConfig, MitigationAction, MitigationRequest};
///
/// # fn handle() -> Result<(), esper_rs_client::EsperError> {
/// let client = EsperClient::new(EsperConfig::new("your-api-key"))?;
/// let response = client.check_mitigation(&MitigationRequest::new("192.168.1.1"))?;
/// match response.action {
///     MitigationAction::Allow => println!("let it through"),
///     MitigationAction::Challenge => println!("challenge: {:?}", response.challenge),
///     MitigationAction::Block => println!("turn it away: {:?}", response.reason),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EsperClient {
    client: AsyncEsperClient,
    driver: Arc<Driver>,
}

impl EsperClient {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Fails like [`AsyncEsperClient::new`], and when the system gives no further thread or no
    /// further files for it.
    pub fn new(config: EsperConfig) -> Result<Self, EsperError> {
        let client = AsyncEsperClient::new(config)?;
        let driver = Driver::start().map_err(|error| EsperError::unusable(NO_THREAD, error))?;
        Ok(Self { client, driver: Arc::new(driver) })
    }

    /// Asks what to do with a request.
    ///
    /// # Errors
    ///
    /// Fails like [`AsyncEsperClient::check_mitigation`].
    pub fn check_mitigation(
        &self,
        request: &MitigationRequest,
    ) -> Result<MitigationResponse, EsperError> {
        self.driver.wait(self.client.check_mitigation(request))
    }

    /// Tells whether a visitor's response solves the challenge of a token.
    ///
    /// # Errors
    ///
    /// Fails like [`AsyncEsperClient::verify_challenge`]. An error is not a pass.
    pub fn verify_challenge(&self, token: &str, response: &str) -> Result<bool, EsperError> {
        self.driver.wait(self.client.verify_challenge(token, response))
    }

    /// Tells whether the proof with which a visitor came back from a managed challenge is theirs.
    ///
    /// # Errors
    ///
    /// Fails like [`AsyncEsperClient::verify_challenge_proof`]. An error is not a pass.
    pub fn verify_challenge_proof(&self, proof: &ChallengeProof) -> Result<bool, EsperError> {
        self.driver.wait(self.client.verify_challenge_proof(proof))
    }

    /// Sends an event, and waits until the service has taken it.
    ///
    /// # Errors
    ///
    /// Fails like [`AsyncEsperClient::send_beacon_event`].
    pub fn send_beacon_event(&self, event: &BeaconEvent) -> Result<(), EsperError> {
        self.driver.wait(self.client.send_beacon_event(event))
    }

    /// Hands out the queue for events, like [`AsyncEsperClient::beacons`].
    #[cfg(feature = "beacons")]
    #[must_use]
    pub fn beacons(&self) -> crate::Beacons {
        self.client.beacons()
    }

    /// Reads how many decisions the key has received.
    ///
    /// # Errors
    ///
    /// Fails like [`AsyncEsperClient::get_usage`].
    pub fn get_usage(&self) -> Result<UsageStats, EsperError> {
        self.driver.wait(self.client.get_usage())
    }

    /// Counts what this client and its clones have done so far.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        self.client.stats()
    }
}

/// A thread that drives connections and timers.
struct Driver {
    runtime: Handle,
    process: u32,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl Driver {
    fn start() -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        // The thread makes its runtime itself: where there is no thread, the caller would have to
        // drop it, and panic within a runtime of its own.
        thread::Builder::new().name("esper-client".to_owned()).spawn(move || {
            match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let _ = ready.send(Ok(runtime.handle().clone()));
                    // Whether it is told to stop or its teller is gone, it is over.
                    let _ = runtime.block_on(stopped);
                }
                Err(error) => _ = ready.send(Err(error)),
            }
        })?;
        let runtime = started.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, process: process::id(), _stop: stop })
    }

    /// Polls a call on the calling thread.
    ///
    /// Not `Handle::block_on`, which panics where there is a runtime already. And without
    /// tokio's budget: it belongs to the task around us, which cannot renew it while we block it.
    fn wait<T>(&self, call: impl Future<Output = Result<T, EsperError>>) -> Result<T, EsperError> {
        if self.process != process::id() {
            // A fork copies no threads, so that nothing would ever wake us.
            let error = io::Error::other("its thread is that of another process");
            return Err(EsperError::unusable(FORKED, error));
        }
        // What a thread-local calls when its thread ends may come after the end of tokio's own.
        if let Err(error) = Handle::try_current()
            && error.is_thread_local_destroyed()
        {
            return Err(EsperError::unusable(ENDED, error));
        }
        let _entered = self.runtime.enter();
        pollster::block_on(tokio::task::unconstrained(call))
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

const NO_THREAD: &str = "the system gives the client no thread of its own; raise its limits on \
                         threads, memory or open files, or use AsyncEsperClient";
const FORKED: &str = "the client was made before this process was forked; make one after the fork";
const ENDED: &str = "the calling thread has nearly ended; call from one that goes on";
