//! What every test on the real stack is made of. `make test` starts the stack and runs them; by hand:
//! `make stack-up`, `set -a; . .stack/env`, `cargo test --test it`.
//!
//! Each test owns everything it touches: a PostgreSQL database, a connector and its topics, three ClickHouse
//! databases and a consumer group, all named after it.
//!
//! | a folder of jobs, and… | what it runs against |
//! |---|---|
//! | `Project` | an `Engine`: the stack's, or an `OwnEngine` that is killed and comes back on its port; the stack's Kafka |
//! | `EmbeddedProject` | an `EmbeddedEngine`, started through the library; nothing of the stack |
//! | `Stream` with a `SecureKafka` | a Kafka of the test's own, with TLS, SCRAM and ACLs |
//! | `SourceProject` | a database in the stack's PostgreSQL; no ClickHouse |

pub mod certificates;
pub mod commits;
pub mod connector;
pub mod embedded_engine;
pub mod embedded_project;
pub mod engine;
pub mod kafka;
pub mod lying_front;
pub mod mariadb;
#[cfg(feature = "archive")]
pub mod minio;
pub mod own_postgres;
pub mod postgres;
pub mod program;
pub mod project;
pub mod proxy;
pub mod secure_kafka;
pub mod source_project;
pub mod stream;
pub mod tls_front;

use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub use embedded_project::EmbeddedProject;
pub use engine::Engine;
pub use mariadb::MariaDb;
pub use postgres::Source;
pub use project::Project;
pub use source_project::SourceProject;

/// An address of the running stack.
pub fn stack(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `make test`, or `make stack-up` and source .stack/env")
    })
}

pub fn http() -> reqwest::Client {
    bullion::tls::install();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Proxies and fronts live on threads of their own: a test that waits for a process blocks the thread it is on.
pub fn network() -> &'static tokio::runtime::Runtime {
    static NETWORK: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    });
    &NETWORK
}

/// Listens there from the threads of [`network`]; `None` where somebody else does.
pub fn listen(address: &str) -> Option<tokio::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address).ok()?;
    listener.set_nonblocking(true).unwrap();
    let _inside = network().enter();
    Some(tokio::net::TcpListener::from_std(listener).unwrap())
}

/// What a busy machine may take for what takes moments on a quiet one: a test fails by it, and never measures by it.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Looks again and again until `look` gives something; never sleeps blindly.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let until = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "waited {deadline:?} for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What an end that takes long to come may take on a busy machine.
const SLACK: Duration = Duration::from_secs(60);

/// Looks again and again for as long, and insists each time.
pub async fn stays<F: Future<Output = ()>>(long: Duration, mut insist: impl FnMut() -> F) {
    let until = Instant::now() + long;
    wait_for("the time to pass", long + SLACK, || {
        let insisted = insist();
        async move {
            insisted.await;
            (Instant::now() >= until).then_some(())
        }
    })
    .await;
}

/// A number that the same seed gives again: what happens in a test is drawn from it.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// Uniform below `most` (xorshift64*).
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % most
    }
}
