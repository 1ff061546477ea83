//! Serves HTTP/1.1 and 1.0 over TCP and Unix sockets, and bounds what its clients may cost: one accept loop for every
//! service of the program.
//!
//! A place is taken by each connection, and owners of addresses have a number of places each (`places.rs`), so that no
//! owner keeps the others out. Heads, bodies, writes and pauses have a longest time. A client that hangs up, or closes
//! its half of the connection, while its request is answered is noticed ([`Caller::hung_up`]).

pub mod forwarded;
pub mod page;
mod places;
mod stream;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, trace};

use self::places::{Place, Places};
use self::stream::{Stream, Wire};
use crate::engine::contact::canonical;

/// Pause of the accept loop after a connection could not be accepted: as a rule there is no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause of a connection that stands in the way of others.
const CROWDED_PAUSE: Duration = Duration::from_secs(1);

/// What a request is answered with, where the whole of it is known at once.
pub type Answer = Response<Full<Bytes>>;

/// Why a body ends early.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time, of all owners together.
    pub connections: usize,
    /// Longest head of a request, in bytes.
    pub head_bytes: usize,
    /// Longest body of a request, in bytes.
    pub body_bytes: usize,
    /// Longest time for the head of a request, and so the longest pause between two requests.
    pub head_time: Duration,
    /// Longest time for the body of a request.
    pub body_time: Duration,
    /// Longest time in which a client takes no byte of what is written to it.
    pub write_time: Duration,
    /// Whether a client that has closed its half of the connection is answered all the same. Otherwise that is the end, so
    /// that a stream of events ends with its reader.
    pub half_close: bool,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The endpoint of the client, in canonical form.
    pub addr: SocketAddr,
    /// Our endpoint of the connection, in canonical form.
    pub here: SocketAddr,
    wire: Arc<Wire>,
}

impl Caller {
    /// Waits until the client has hung up, or has closed its half of the connection: the two look alike until something is
    /// written. Never ends for a client that has sent more meanwhile.
    pub async fn hung_up(&self) {
        if let Ok(1..) = self.wire.peek().await {
            std::future::pending().await
        }
    }
}

/// Accepts connections and has their requests answered by `handle`, until the future is dropped. Addresses that are `exempt`
/// (proxies, which bring the connections of many clients) are bounded by the number of all connections only.
pub async fn serve<H, F, B>(listener: &TcpListener, limits: Limits, exempt: impl Fn(IpAddr) -> bool, handle: H)
where
    H: Fn(Caller, Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BodyError>> + From<Bytes> + Send + 'static,
{
    let accept = || async {
        let (stream, addr) = listener.accept().await?;
        let (addr, here) = (canonical(addr), canonical(stream.local_addr()?));
        let wire = Arc::new(Wire::Tcp(stream));
        let counted = Some(addr.ip()).filter(|ip| !exempt(*ip));
        Ok((Arc::clone(&wire), counted, Caller { addr, here, wire }))
    };
    accept_all(accept, limits, handle).await;
}

/// The same for a Unix socket, whose clients the system has let in. They are bounded all together.
#[cfg(unix)]
pub async fn serve_unix<H, F, B>(listener: &UnixListener, limits: Limits, handle: H)
where
    H: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BodyError>> + From<Bytes> + Send + 'static,
{
    let accept = || async { Ok((Arc::new(Wire::Unix(listener.accept().await?.0)), None, ())) };
    accept_all(accept, limits, move |(), request| handle(request)).await;
}

/// Accepts connections for ever. Each comes with the address that it is counted for, if any, and with what is said of
/// its client to `handle`.
async fn accept_all<A, C, H, F, B>(accept: impl Fn() -> A, limits: Limits, handle: H)
where
    A: Future<Output = io::Result<(Arc<Wire>, Option<IpAddr>, C)>>,
    C: Clone + Send + Sync + 'static,
    H: Fn(C, Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BodyError>> + From<Bytes> + Send + 'static,
{
    let places = Places::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(), if connections.len() < limits.connections => {
                places.set_short(accepted.is_err());
                match accepted {
                    Ok((wire, counted, caller)) => {
                        let Some(place) = places.enter(counted) else {
                            trace!(?counted, "too many connections of one owner: one more is closed");
                            continue;
                        };
                        connections.spawn(converse(wire, caller, place, limits, handle.clone()));
                    }
                    Err(error) => {
                        debug!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Since when a connection pauses; `None` while a request is answered.
type Pause = Mutex<Option<Instant>>;

fn set_pause(pause: &Pause, since: Option<Instant>) {
    *pause.lock().expect("nothing panics while it holds the lock") = since;
}

fn pauses_too_long(pause: &Pause) -> bool {
    let since = *pause.lock().expect("nothing panics while it holds the lock");
    since.is_some_and(|since| since.elapsed() >= CROWDED_PAUSE)
}

/// Serves one connection to its end.
async fn converse<C, H, F, B>(wire: Arc<Wire>, caller: C, mut place: Place, limits: Limits, handle: H)
where
    C: Clone + Send + Sync,
    H: Fn(C, Request<Bytes>) -> F + Send + Sync,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data = Bytes, Error: Into<BodyError>> + From<Bytes> + Send + 'static,
{
    let pause = Pause::new(Some(Instant::now()));
    let service = service_fn(|request| {
        set_pause(&pause, None);
        let (caller, pause, handle) = (caller.clone(), &pause, &handle);
        async move {
            let answer = answer(caller, request, limits, handle).await;
            set_pause(pause, Some(Instant::now()));
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head_bytes);
    builder.half_close(limits.half_close);
    let connection = builder.serve_connection(TokioIo::new(Stream::new(wire, limits.write_time)), service);
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            outcome = &mut connection => {
                if let Err(error) = outcome {
                    trace!(%error, "a connection ended early");
                }
                return;
            }
            () = sleep(CROWDED_PAUSE) => if pauses_too_long(&pause) && place.give_up() {
                return trace!("a connection that paused has made room");
            }
        }
    }
}

/// Reads the body, and has the request answered.
async fn answer<C, H, F, B>(caller: C, request: Request<Incoming>, limits: Limits, handle: &H) -> Response<B>
where
    H: Fn(C, Request<Bytes>) -> F,
    F: Future<Output = Response<B>>,
    B: From<Bytes>,
{
    let (head, body) = request.into_parts();
    match timeout(limits.body_time, Limited::new(body, limits.body_bytes).collect()).await {
        Ok(Ok(body)) => handle(caller, Request::from_parts(head, body.to_bytes())).await,
        Ok(Err(_)) => unread(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => unread(StatusCode::REQUEST_TIMEOUT),
    }
}

/// The answer to a request whose body was not read to its end: nothing can follow on the same connection.
fn unread<B: From<Bytes>>(status: StatusCode) -> Response<B> {
    let mut answer = Response::new(B::from(Bytes::new()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
