//! Accept connections, no more than there is room for, and serve requests on each.

mod call;
mod response_fault;
mod socket;
mod state;
mod table;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use self::call::Call;
pub(crate) use self::response_fault::ResponseFault;
use self::socket::Socket;
use self::state::ConnectionState;
use self::table::ConnectionTable;
use crate::limits::Limits;

/// Whoever serves the connections of one listener.
pub(crate) struct Connections {
    http: Builder<TokioExecutor>,
    service: TowerToHyperService<Router>,
    table: ConnectionTable,
    idle_time: Duration,
    stopping: watch::Receiver<bool>,
}

impl Connections {
    pub(crate) fn new(
        router: Router,
        limits: &Limits,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            http: http(),
            service: TowerToHyperService::new(router),
            table: ConnectionTable::new(limits.connections),
            idle_time: limits.idle_time.min(LONGEST_IDLE_TIME),
            stopping,
        })
    }

    /// Accepts until it is told to stop, then waits for the end of all connections.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = self.accept(&listener) => {}
        }
        drop(listener);
        self.table.all_gone().await;
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut failing = false;
        loop {
            match listener.accept().await {
                Ok((tcp, _)) => {
                    failing = false;
                    self.table.make_room().await;
                    self.open(tcp);
                }
                // The client was gone before its turn came.
                Err(error) if is_the_clients(&error) => debug!(%error, "not accepted"),
                // Out of files or memory. Trying again at once would find the same.
                Err(error) => {
                    if !failing {
                        warn!(%error, "no connection can be accepted; older ones give way");
                    }
                    failing = true;
                    self.table.evict_one();
                    let _ = timeout(PAUSE, self.table.freed().notified()).await;
                }
            }
        }
    }

    fn open(self: &Arc<Self>, tcp: TcpStream) {
        // Without it, small answers may wait for the client's acknowledgement.
        if let Err(error) = tcp.set_nodelay(true) {
            debug!(%error, "a connection stays with delayed sends");
        }
        let open = self.table.open();
        let connections = Arc::clone(self);
        tokio::spawn(async move { connections.attend(tcp, &open.connection).await });
    }

    /// Serves one connection until it ends, gives way, or has been idle for too long.
    async fn attend(self: Arc<Self>, tcp: TcpStream, state: &Arc<ConnectionState>) {
        let service = service_fn({
            let (connections, state) = (Arc::clone(&self), Arc::clone(state));
            move |request| Arc::clone(&connections).answer(Arc::clone(&state), request)
        });
        let io = TokioIo::new(Socket::new(tcp, Arc::clone(state)));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let mut stopping = self.stopping.clone();
        let mut told_to_stop = false;
        let mut look_again = Instant::now() + self.idle_time;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        debug!(error, "a connection failed");
                    }
                    return;
                }
                () = state.evicted() => return debug!("a connection gives way"),
                _ = stopping.wait_for(|stopping| *stopping), if !told_to_stop => {
                    told_to_stop = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(look_again) => match state.idle_since() {
                    Some(since) if since.elapsed() >= self.idle_time => {
                        return debug!("an idle connection is closed");
                    }
                    Some(since) => look_again = since + self.idle_time,
                    None => look_again = Instant::now() + self.idle_time,
                },
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        state: Arc<ConnectionState>,
        request: hyper::Request<Incoming>,
    ) -> io::Result<hyper::Response<axum::body::Body>> {
        let version = request.version();
        let call = Call::begin(&state, self.table.freed());
        let request = request.map(|body| call.with_request(body));
        let Ok(mut response) = self.service.call(request).await;
        if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // The router notes the length of every body, and these have none.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        match response.extensions_mut().remove::<ResponseFault>() {
            None => Ok(response.map(|body| call.with_response(body))),
            Some(fault) => fault.apply(response, call, version, self.stopping.clone()).await,
        }
    }
}

/// How HTTP is spoken, and what a single connection may take.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // How long a head may take is known here, for both versions at once and for what is neither.
    http.http1().header_read_timeout(None).max_buf_size(LARGEST_HEAD);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(16 * 1024)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    http
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The most bytes of a head, in HTTP/1.
const LARGEST_HEAD: usize = 64 * 1024;

/// How long to wait, at most, for files or memory to be given back.
const PAUSE: Duration = Duration::from_millis(50);

/// No wait is longer, so that the end of each can be told.
const LONGEST_IDLE_TIME: Duration = Duration::from_secs(365 * 24 * 3600);
