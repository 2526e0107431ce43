//! A TCP proxy with weather: what a network does to connections between two parts that are themselves well.
//!
//! Before ClickHouse it takes any port. Before Kafka it stands at a *door*, a listener of the stack's broker that advertises
//! the proxy's address and not its own, so that every connection comes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Dice, PATIENCE, listen, network, stack};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Clear,
    /// everything arrives so much later, each way
    Late(Duration),
    /// three of ten chunks arrive later by a TCP retransmission: how a lossy line looks from above TCP
    Lossy,
    /// bytes per second, each way
    Narrow(u32),
    /// connections stay, and nothing passes until the weather changes
    BlackHole,
    /// connections are reset, and new ones, too
    Down,
}

/// How long a sender waits for an acknowledgement before it sends again.
const RETRANSMISSION: Duration = Duration::from_millis(200);
const NO_CUT: i64 = i64::MAX;

/// The weather, and how often connections were reset by it so far.
#[derive(Clone, Copy)]
struct Sky {
    weather: Weather,
    resets: u64,
}

impl Sky {
    fn turn(&mut self, weather: Weather) {
        self.weather = weather;
        self.resets += u64::from(weather == Weather::Down);
    }
}

pub struct Proxy {
    /// host:port of the proxy
    pub address: String,
    sky: watch::Sender<Sky>,
    /// bytes that may still pass towards the server before the connection that carries them is cut
    until_cut: Arc<AtomicI64>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
    flapping: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Before `server`, a host:port, on a free port.
    pub fn before(server: &str) -> Proxy {
        let listener = listen("127.0.0.1:0").unwrap();
        Proxy::at(listener, server.to_owned())
    }

    /// Before the stack's Kafka, at a door that nobody else uses now: `address` is what clients are given as brokers.
    pub async fn before_kafka() -> Proxy {
        let doors = stack("BULLION_KAFKA_DOORS");
        let until = Instant::now() + PATIENCE;
        loop {
            for door in doors.split(',').filter(|door| !door.is_empty()) {
                let (front, behind) = door.split_once('=').unwrap();
                if let Some(listener) = listen(front) {
                    return Proxy::at(listener, behind.to_owned());
                }
            }
            assert!(Instant::now() < until, "every door is taken: {doors}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn at(listener: TcpListener, server: String) -> Proxy {
        let address = listener.local_addr().unwrap().to_string();
        let (sky, watched) = watch::channel(Sky {
            weather: Weather::Clear,
            resets: 0,
        });
        let until_cut = Arc::new(AtomicI64::new(NO_CUT));
        let connections = Arc::new(AtomicUsize::new(0));
        let line = Line {
            sky: watched,
            until_cut: Arc::clone(&until_cut),
        };
        let counted = Arc::clone(&connections);
        let accepting = network().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(client, server.clone(), line.clone()));
            }
        });
        Proxy {
            address,
            sky,
            until_cut,
            connections,
            accepting,
            flapping: None,
        }
    }

    pub fn set(&mut self, weather: Weather) {
        if let Some(flapping) = self.flapping.take() {
            flapping.abort();
        }
        self.sky.send_modify(|sky| sky.turn(weather));
    }

    /// Cuts every connection once; new ones are let in.
    pub fn cut(&mut self) {
        self.set(Weather::Down);
        self.set(Weather::Clear);
    }

    /// Down and up again, for so long each, until the weather is set.
    pub fn flap(&mut self, each: Duration) {
        self.set(Weather::Clear);
        let sky = self.sky.clone();
        self.flapping = Some(network().spawn(async move {
            for next in [Weather::Down, Weather::Clear].iter().cycle() {
                sky.send_modify(|sky| sky.turn(*next));
                tokio::time::sleep(each).await;
            }
        }));
    }

    /// Lets so many bytes more pass towards the server and cuts the connection that wants to send the next one:
    /// half a request.
    pub fn cut_after(&self, bytes: i64) {
        self.until_cut.store(bytes, Ordering::SeqCst);
    }

    /// Connections that were made since the start.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Some(flapping) = self.flapping.take() {
            flapping.abort();
        }
        self.sky.send_modify(|sky| sky.turn(Weather::Down));
    }
}

#[derive(Clone)]
struct Line {
    sky: watch::Receiver<Sky>,
    until_cut: Arc<AtomicI64>,
}

impl Line {
    fn weather(&self) -> Weather {
        self.sky.borrow().weather
    }

    /// Returns when the connection is to be reset. What counts is that it was, since a cut is over before anybody looks.
    async fn is_reset(&self) -> End {
        let mut sky = self.sky.clone();
        let resets = sky.borrow().resets;
        // an error means that the proxy is gone, which is no better
        let _ = sky.wait_for(|sky| sky.resets > resets).await;
        End::Reset
    }
}

/// How a connection ends.
#[derive(PartialEq)]
enum End {
    /// one side closed it, and everything has arrived
    Closed,
    Reset,
}

/// One connection, both ways.
async fn carry(mut client: TcpStream, server: String, line: Line) {
    if line.weather() == Weather::Down {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = line.is_reset() => end,
            end = pass(from_client, to_server, line.clone(), true) => end,
            end = pass(from_server, to_client, line.clone(), false) => end,
        }
    };
    if end == End::Reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// One direction: what is read is written when the weather lets it arrive.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, line: Line, is_request: bool) -> End {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let reading = async {
        let mut dice = Dice::new(7);
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let late = match line.weather() {
                Weather::Late(late) => late,
                Weather::Lossy if dice.below(10) < 3 => RETRANSMISSION,
                _ => Duration::ZERO,
            };
            let due = Instant::now() + late;
            if sender.send((due, buffer[..count].to_vec())).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let writing = async {
        let mut sky = line.sky.clone();
        while let Some((due, mut bytes)) = chunks.recv().await {
            tokio::time::sleep_until(due).await;
            if is_request && cuts(&line.until_cut, &mut bytes) {
                // what did pass is to arrive before the reset does
                let _ = (to.write_all(&bytes).await, to.shutdown().await);
                return End::Reset;
            }
            let lets_pass = |sky: &Sky| sky.weather != Weather::BlackHole;
            if sky.wait_for(lets_pass).await.is_err() {
                return End::Reset;
            }
            for part in bytes.chunks(512) {
                if to.write_all(part).await.is_err() {
                    return End::Closed;
                }
                if let Weather::Narrow(rate) = line.weather() {
                    let time = part.len() as f64 / f64::from(rate);
                    tokio::time::sleep(Duration::from_secs_f64(time)).await;
                }
            }
        }
        End::Closed
    };
    tokio::pin!(writing);
    tokio::select! {
        end = &mut writing => return end,
        () = reading => {}
    }
    writing.await
}

/// Whether the connection ends within these bytes, which are cut to what still passes.
fn cuts(until_cut: &AtomicI64, bytes: &mut Vec<u8>) -> bool {
    let left = until_cut.load(Ordering::SeqCst);
    if left == NO_CUT {
        return false;
    }
    let wanted = i64::try_from(bytes.len()).unwrap();
    if wanted <= left {
        until_cut.store(left - wanted, Ordering::SeqCst);
        return false;
    }
    until_cut.store(NO_CUT, Ordering::SeqCst);
    bytes.truncate(usize::try_from(left).unwrap());
    true
}
