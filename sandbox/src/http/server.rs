//! Serve on a thread of its own, so that a caller who blocks its runtime still gets answers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tracing::{debug, info};

use crate::http::connections::Connections;
use crate::limits::Limits;

/// What is served at an address.
pub(crate) struct Site {
    pub(crate) listen: SocketAddr,
    pub(crate) router: Router,
}

/// What is known once a server listens.
pub(crate) struct Listening {
    /// The addresses of its sites, in their order.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Where time limits can be kept, whatever the caller's own runtime.
    pub(crate) runtime: Handle,
}

/// A running server. It ends when it is told to, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
    /// The same news for those who cannot await; in a mutex only to be shared between threads.
    ended_blocking: Mutex<mpsc::Receiver<()>>,
}

impl Server {
    /// Starts to serve, and to do something in the background. Where, or why it does not, is told
    /// once, from the server's thread.
    pub(crate) fn spawn(
        sites: Vec<Site>,
        limits: Limits,
        background: Option<impl Future<Output = ()> + Send + 'static>,
        ready: impl FnOnce(io::Result<Listening>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let (ending_blocking, ended_blocking) = mpsc::channel();
        thread::Builder::new().name("esper-sandbox".to_owned()).spawn(move || {
            match bind(sites) {
                Ok((runtime, bound)) => {
                    let addrs: Vec<_> = bound.iter().map(|bound| bound.addr).collect();
                    let handle = runtime.handle().clone();
                    ready(Ok(Listening { addrs: addrs.clone(), runtime: handle }));
                    info!(?addrs, "listening");
                    if let Some(background) = background {
                        runtime.spawn(background);
                    }
                    runtime.block_on(serve(bound, &limits, stopped));
                    // Cuts what the grace was not enough for.
                    drop(runtime);
                    info!(?addrs, "stopped");
                }
                Err(error) => ready(Err(error)),
            }
            // Dropped, both tell that it is over.
            drop((ending, ending_blocking));
        })?;
        Ok(Self { stop: Some(stop), ended, ended_blocking: Mutex::new(ended_blocking) })
    }

    /// Stops to accept, answers what is in flight within the grace, and ends.
    pub(crate) async fn stop(mut self) {
        self.stop.take();
        // An error is the news that was waited for: the other side is gone.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Server {
    /// Waits just long enough for the listener to close; the rest goes on without this thread.
    fn drop(&mut self) {
        self.stop.take();
        if let Ok(ended) = self.ended_blocking.get_mut() {
            let _ = ended.recv_timeout(DROP_TIMEOUT);
        }
    }
}

/// A site at its address.
struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
}

fn bind(sites: Vec<Site>) -> io::Result<(Runtime, Vec<Bound>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bound = Vec::with_capacity(sites.len());
    for Site { listen, router } in sites {
        let listener = runtime.block_on(TcpListener::bind(listen));
        let listener = listener.map_err(|error| cannot_listen(listen, &error))?;
        let addr = listener.local_addr()?;
        bound.push(Bound { listener, addr, router });
    }
    Ok((runtime, bound))
}

fn cannot_listen(listen: SocketAddr, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{listen} is in use; stop what listens there or choose another address")
        }
        _ => format!("cannot listen on {listen}: {error}; choose another address"),
    };
    io::Error::new(error.kind(), why)
}

async fn serve(bound: Vec<Bound>, limits: &Limits, stopped: oneshot::Receiver<()>) {
    let (stop, stopping) = watch::channel(false);
    let mut sites: JoinSet<()> = bound
        .into_iter()
        .map(|Bound { listener, router, .. }| {
            Connections::new(router, limits, stopping.clone()).serve(listener)
        })
        .collect();
    let _ = stopped.await;
    let _ = stop.send(true);
    let all_gone = async { while sites.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_gone).await.is_err() {
        debug!("some requests were cut off");
    }
}

/// How long requests in flight may take to be answered after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);

const DROP_TIMEOUT: Duration = Duration::from_millis(100);
