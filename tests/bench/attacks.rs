//! What bad clients do to a server. They run in a thread of their own, so that the good ones wait for the server only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
/// Clients of slowloris, and of many that ask without end.
const SLOW: usize = 1_000;
const GREEDY: usize = 300;
/// How often the crowd of a burst leaves and comes again.
const WAVE: Duration = Duration::from_secs(2);
/// A flood opens some in every `TICK`, and each of them stays until the whole crowd is newer.
const TICK: Duration = Duration::from_millis(10);
/// One that a server can accept, and one that is more than a machine of two cores can even open.
const FLOOD: usize = 50;
const GREAT_FLOOD: usize = 200;
/// Wrong passwords every `TICK`, and how long who tries one waits for the answer.
const GUESSES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Requests that never end, a byte a second. Who is sent away notices with a byte that cannot be sent.
    Slowloris,
    /// The same. Who is sent away notices at once and comes again.
    Restless,
    /// A crowd opens its connections as fast as it can, asks once on each and reads nothing; every two seconds anew.
    Burst,
    /// The same requests without end, 5,000 a second.
    Flood,
    /// 20,000 a second, or as many as can be opened.
    GreatFlood,
    /// One that asks again and again without reading any answer.
    Greedy,
    /// Hundreds of these.
    ManyGreedy,
    /// 1,000 wrong passwords a second, each other than the one before and on a new connection.
    Guesses,
}

/// What came of an attack.
#[derive(Default)]
pub(crate) struct Tally {
    /// Connections opened.
    pub(crate) opened: AtomicUsize,
    /// Of those that come in waves, the milliseconds after the beginning of the wave at which each had asked.
    pub(crate) asked: Mutex<Vec<f64>>,
}

/// An attack that goes on until it is stopped.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    tally: Arc<Tally>,
}

impl Running {
    pub(crate) fn stop(self) -> Arc<Tally> {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
        self.tally
    }
}

impl Attack {
    pub(crate) const ALL: &[Self] = &[
        Self::Slowloris,
        Self::Restless,
        Self::Burst,
        Self::Flood,
        Self::GreatFlood,
        Self::Greedy,
        Self::ManyGreedy,
        Self::Guesses,
    ];

    /// `crowd`: how many connections a burst or flood has at one time.
    pub(crate) fn title(self, crowd: usize) -> String {
        match self {
            Self::Slowloris => format!("slowloris: {SLOW} connections that send a byte a second"),
            Self::Restless => format!("restless slowloris: the same {SLOW}, and who is sent away comes again at once"),
            Self::Burst => format!("burst: {crowd} requests at once that nobody reads, every {WAVE:?} anew"),
            Self::Flood => format!("flood: 5000 requests a second that nobody reads, {crowd} connections open"),
            Self::GreatFlood => "great flood: the same, 20000 a second or as many as can be opened".to_owned(),
            Self::Greedy => "greedy: one client that asks without end and never reads".to_owned(),
            Self::ManyGreedy => format!("greedy: {GREEDY} clients that ask without end and never read"),
            Self::Guesses => "guesses: 1000 wrong passwords a second, bcrypt with cost 10".to_owned(),
        }
    }

    pub(crate) fn begin(self, from: IpAddr, to: SocketAddr, crowd: usize) -> Running {
        let (stop, stopped) = oneshot::channel();
        let tally = Arc::new(Tally::default());
        let bad = Bad { from, to, tally: Arc::clone(&tally) };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = self.go_on(&bad, crowd) => {}
                    _ = stopped => {}
                }
            });
        });
        Running { stop, thread, tally }
    }

    async fn go_on(self, bad: &Bad, crowd: usize) {
        match self {
            Self::Slowloris => together(SLOW, |number| bad.clone().slowloris(number, false)).await,
            Self::Restless => together(SLOW, |number| bad.clone().slowloris(number, true)).await,
            Self::Burst => bad.burst(crowd).await,
            Self::Flood => bad.flood(crowd, FLOOD).await,
            Self::GreatFlood => bad.flood(crowd, GREAT_FLOOD).await,
            Self::Greedy => bad.clone().greedy().await,
            Self::ManyGreedy => together(GREEDY, |_| bad.clone().greedy()).await,
            Self::Guesses => bad.guesses().await,
        }
    }
}

/// Runs so many clients that never end.
async fn together<F: Future<Output = ()> + Send + 'static>(count: usize, client: impl Fn(usize) -> F) {
    (0..count).map(client).collect::<JoinSet<()>>().join_all().await;
}

/// A bad client.
#[derive(Clone)]
struct Bad {
    from: IpAddr,
    to: SocketAddr,
    tally: Arc<Tally>,
}

impl Bad {
    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        // So that closed connections keep no ports.
        socket.set_zero_linger()?;
        socket.bind(SocketAddr::new(self.from, 0))?;
        let stream = socket.connect(self.to).await?;
        self.tally.opened.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    /// Tries until it is connected.
    async fn connect_at_last(&self) -> TcpStream {
        loop {
            match self.connect().await {
                Ok(stream) => return stream,
                // Too many open files, for example.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn ask(&self) -> io::Result<TcpStream> {
        let mut stream = self.connect().await?;
        stream.write_all(REQUEST).await?;
        Ok(stream)
    }

    async fn slowloris(self, number: usize, restless: bool) {
        // All of them send at different times of a second.
        sleep(Duration::from_millis(number as u64 % 1_000)).await;
        loop {
            let mut stream = self.connect_at_last().await;
            let mut part: &[u8] = b"GET /metrics HTTP/1.1\r\nX-Slow: ";
            while stream.write_all(part).await.is_ok() {
                part = b"x";
                tokio::select! {
                    () = sleep(Duration::from_secs(1)) => {}
                    // Anything that comes is an error or the end.
                    _ = stream.read_u8(), if restless => break,
                }
            }
        }
    }

    async fn burst(&self, crowd: usize) {
        let mut waves = interval(WAVE);
        let mut unread = JoinSet::new();
        loop {
            waves.tick().await;
            unread.shutdown().await;
            let begin = Instant::now();
            for _ in 0..crowd {
                let bad = self.clone();
                unread.spawn(async move {
                    let stream = bad.ask().await;
                    bad.tally.asked.lock().unwrap().push(begin.elapsed().as_secs_f64() * 1e3);
                    std::future::pending::<()>().await;
                    drop(stream);
                });
            }
        }
    }

    async fn flood(&self, crowd: usize, in_a_tick: usize) {
        let stay = TICK * u32::try_from(crowd.div_ceil(in_a_tick)).unwrap();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for _ in 0..in_a_tick {
                let bad = self.clone();
                tokio::spawn(timeout(stay, async move {
                    let stream = bad.ask().await;
                    std::future::pending::<()>().await;
                    drop(stream);
                }));
            }
        }
    }

    async fn greedy(self) {
        let requests = REQUEST.repeat(1_000);
        loop {
            let mut stream = self.connect_at_last().await;
            while stream.write_all(&requests).await.is_ok() {}
        }
    }

    async fn guesses(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0.. {
            ticks.tick().await;
            for number in 0..GUESSES {
                let bad = self.clone();
                let guess = STANDARD.encode(format!("far:guess-{tick}-{number}"));
                tokio::spawn(timeout(PATIENCE, async move {
                    let mut stream = bad.connect().await?;
                    let request = format!(
                        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {guess}\r\n\r\n"
                    );
                    stream.write_all(request.as_bytes()).await?;
                    stream.read_to_end(&mut Vec::new()).await
                }));
            }
        }
    }
}
