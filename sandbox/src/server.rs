//! Serve on a thread of its own, so that a caller who blocks its runtime still gets answers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tracing::{debug, info};

/// A running server. It ends when it is told to, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
    /// The same news for those who cannot await; in a mutex only to be shared between threads.
    ended_blocking: Mutex<mpsc::Receiver<()>>,
}

impl Server {
    /// Starts to serve, and to do something in the background. The address, or why there is none,
    /// is told once, from the server's thread.
    pub(crate) fn spawn(
        listen: SocketAddr,
        router: Router,
        background: Option<impl Future<Output = ()> + Send + 'static>,
        ready: impl FnOnce(io::Result<SocketAddr>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let (ending_blocking, ended_blocking) = mpsc::channel();
        thread::Builder::new().name("esper-sandbox".to_owned()).spawn(move || {
            match bind(listen) {
                Ok((runtime, listener, addr)) => {
                    ready(Ok(addr));
                    info!(%addr, "listening");
                    if let Some(background) = background {
                        runtime.spawn(background);
                    }
                    runtime.block_on(serve(listener, router, stopped));
                    // Cuts what the grace was not enough for.
                    drop(runtime);
                    info!(%addr, "stopped");
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
            let _ = ended.recv_timeout(PATIENCE_OF_DROP);
        }
    }
}

fn bind(listen: SocketAddr) -> io::Result<(Runtime, TcpListener, SocketAddr)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(listen))?;
    let addr = listener.local_addr()?;
    Ok((runtime, listener, addr))
}

async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    // Without it, small answers may wait for the client's acknowledgement.
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            debug!(%error, "a connection stays with delayed sends");
        }
    });
    let (stopping, grace_begins) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stopped.await;
        drop(stopping);
    });
    let grace = async move {
        let _ = grace_begins.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        _ = server => {}
        () = grace => debug!("some requests were cut off"),
    }
}

/// How long requests in flight may take to be answered after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);

const PATIENCE_OF_DROP: Duration = Duration::from_millis(100);
