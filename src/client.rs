//! The client for asynchronous code.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use crate::beacons;
use crate::call::Call;
use crate::generated::types::ChallengeVerification;
use crate::transport::{CallLimits, Transport};
use crate::{
    BeaconEvent, ChallengeProof, ClientStats, EsperConfig, EsperError, MitigationRequest,
    MitigationResponse, UsageStats,
};

/// Asks Esper, from asynchronous code on a tokio runtime.
///
/// A clone is cheap and shares the connections of its original. Dropping the future of a call
/// cancels the call.
///
/// # Panics
///
/// The future of a call panics when it is polled outside of a tokio runtime, or in one without IO
/// and time. Code that has no runtime takes the synchronous client, `EsperClient`.
///
/// ```no_run
/// use esper_rs_client::{AsyncEsperClient, EsperConfig, MitigationAction, MitigationRequest};
///
/// # async fn handle() -> Result<(), esper_rs_client::EsperError> {
/// let client = AsyncEsperClient::new(EsperConfig::new("your-api-key"))?;
/// let request = MitigationRequest::new("192.168.1.1").with_path("/checkout");
/// let response = client.check_mitigation(&request).await?;
/// match response.action {
///     MitigationAction::Allow => println!("let it through"),
///     MitigationAction::Challenge => println!("challenge: {:?}", response.challenge),
///     MitigationAction::Block => println!("turn it away: {:?}", response.reason),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AsyncEsperClient {
    transport: Arc<Transport>,
    #[cfg_attr(not(feature = "beacons"), expect(dead_code, reason = "there is no queue then"))]
    queue: beacons::Slot,
}

impl AsyncEsperClient {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Fails when an option cannot work, such as an empty key or a URL that a key must not be
    /// sent to, and when a URL is https on a host without certificates to check it with.
    pub fn new(config: EsperConfig) -> Result<Self, EsperError> {
        let transport = Transport::new(&config)?;
        Self::over(transport, config)
    }

    /// Makes a client whose calls go this way.
    pub(crate) fn over(transport: Transport, config: EsperConfig) -> Result<Self, EsperError> {
        Ok(Self { transport: Arc::new(transport), queue: beacons::Slot::new(config)? })
    }

    /// Asks what to do with a request.
    ///
    /// # Errors
    ///
    /// Fails when the request has a member that does not fit (nothing is sent then), when no
    /// answer came within [`EsperConfig::with_timeout`], and when the answer is no decision. What
    /// to do then is the application's choice; the family's examples let the visitor through.
    pub async fn check_mitigation(
        &self,
        request: &MitigationRequest,
    ) -> Result<MitigationResponse, EsperError> {
        request.check()?;
        self.check_mitigation_within(self.limits(), request).await
    }

    /// Asks what to do with a request that was checked before.
    pub(crate) async fn check_mitigation_within(
        &self,
        limits: CallLimits,
        request: &MitigationRequest,
    ) -> Result<MitigationResponse, EsperError> {
        let call = Call::start_with(&self.transport, limits);
        call.finish(call.api().check_mitigation(request).await).await
    }

    /// Tells whether a visitor's response solves the challenge of a token.
    ///
    /// A token that is wrong, unknown, expired or used gives `false`. The call is repeated only
    /// when it was certainly not processed, because a token is good for one success.
    ///
    /// # Errors
    ///
    /// Fails when either is empty, as a visitor's answer can be, and when no answer came. An error
    /// is not a pass: keep the visitor challenged.
    pub async fn verify_challenge(&self, token: &str, response: &str) -> Result<bool, EsperError> {
        let body = ChallengeVerification::new(token, response);
        body.check()?;
        let call = Call::start(&self.transport);
        let result = call.finish(call.api().verify_challenge(&body).await).await?;
        Ok(result.valid)
    }

    /// Tells whether the proof with which a visitor came back from a managed challenge is theirs.
    ///
    /// The call is repeated only when it was certainly not processed, because a proof is good for
    /// one success.
    ///
    /// # Errors
    ///
    /// Fails when a member does not fit and when no answer came. An error is not a pass: keep the
    /// visitor challenged.
    pub async fn verify_challenge_proof(&self, proof: &ChallengeProof) -> Result<bool, EsperError> {
        proof.check()?;
        let call = Call::start(&self.transport);
        let result = call.finish(call.api().verify_challenge_proof(proof).await).await?;
        Ok(result.valid)
    }

    /// Sends an event, and waits until the service has taken it.
    ///
    /// An event without a timestamp gets the present one. Retries carry the same timestamp and
    /// the same `Idempotency-Key`, so that the service counts the event once.
    ///
    /// # Errors
    ///
    /// Fails when the event has a member that does not fit (nothing is sent then), and when the
    /// service did not take it.
    pub async fn send_beacon_event(&self, event: &BeaconEvent) -> Result<(), EsperError> {
        event.check()?;
        let event = match event.timestamp {
            Some(_) => Cow::Borrowed(event),
            None => Cow::Owned(event.clone().stamped()),
        };
        let key = Uuid::now_v7().to_string();
        let call = Call::start(&self.transport);
        call.finish(call.api().send_beacon_event(Some(&key), &event).await).await
    }

    /// Hands out the queue for events, for where there is no time to wait for the service.
    ///
    /// All clones of a client share one queue. Its thread starts with the first call of this.
    #[cfg(feature = "beacons")]
    #[must_use]
    pub fn beacons(&self) -> beacons::Beacons {
        self.queue.beacons()
    }

    /// Reads how many decisions the key has received.
    ///
    /// # Errors
    ///
    /// Fails when no answer came, and when the key is wrong.
    pub async fn get_usage(&self) -> Result<UsageStats, EsperError> {
        self.get_usage_within(self.limits()).await
    }

    pub(crate) async fn get_usage_within(
        &self,
        limits: CallLimits,
    ) -> Result<UsageStats, EsperError> {
        let call = Call::start_with(&self.transport, limits);
        call.finish(call.api().get_usage().await).await
    }

    /// The limits of this client's calls.
    pub(crate) fn limits(&self) -> CallLimits {
        self.transport.limits
    }

    /// Counts what this client and its clones have done so far; its beacons count for themselves.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        self.transport.counters.snapshot()
    }
}
