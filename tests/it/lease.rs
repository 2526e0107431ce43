//! The lease that several hosts share, on the real PostgreSQL.

use std::time::Duration;

use bullion::config::{self, LeasePlace, Postgres};
use bullion::lease::Lease;

use crate::support::postgres::address;
use crate::support::{PATIENCE, SourceProject, wait_for};

async fn places(name: &str, ttl: Duration) -> (SourceProject, config::Lease) {
    let source = SourceProject::new(name, "").await;
    let postgres = Postgres::new(&address(name), None).unwrap();
    let place = LeasePlace::Postgres(postgres);
    (source, config::Lease { place, ttl })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_in_postgres_has_one_holder_and_its_token_only_rises() {
    let (_source, config) = places("lease_one", Duration::from_secs(60)).await;
    let first = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
    assert_eq!(first.token(), 1);
    let refused = Lease::acquire(&config, "gold.daily", 0)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.kind().policy().exit, 75, "{refused}");
    let other = Lease::acquire(&config, "gold.weekly", 0).await.unwrap();
    assert_eq!(other.token(), 1, "another target is another lease");
    first.check().await.unwrap();
    first.release().await;
    let second = Lease::acquire(&config, "gold.daily", 41).await.unwrap();
    assert_eq!(second.token(), 42, "above what the ledger has seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_come_at_once_one_gets_it() {
    let (source, config) = places("lease_many", Duration::from_secs(60)).await;
    let racing = (0..8).map(|_| Lease::acquire(&config, "gold.daily", 0));
    let results = futures_util::future::join_all(racing).await;
    let held: Vec<u64> = results.iter().flatten().map(Lease::token).collect();
    assert_eq!(held, [1]);
    assert_eq!(source.count("SELECT count(*) FROM bullion_leases").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_silent_too_long_learns_it() {
    let (source, config) = places("lease_silent", Duration::from_secs(60)).await;
    let silent = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
    source
        .client
        .execute(
            "UPDATE bullion_leases SET expires_at = clock_timestamp()",
            &[],
        )
        .await
        .unwrap();
    let next = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
    let lost = silent.check().await.unwrap_err();
    assert!(lost.to_string().contains("was taken over"), "{lost}");
    silent.release().await;
    next.check().await.unwrap();
    assert_eq!(next.token(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_the_connection_that_took_it() {
    let (source, config) = places("lease_cut", Duration::from_secs(60)).await;
    let held = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
        WHERE datname = 'lease_cut' AND application_name = 'bullion'";
    assert_eq!(source.count(cut).await, 1);
    wait_for(
        "the lease to be asked anew",
        Duration::from_secs(10),
        || async { held.check().await.ok() },
    )
    .await;
    let refused = Lease::acquire(&config, "gold.daily", 0).await;
    assert_eq!(refused.err().unwrap().kind().policy().exit, 75);
    held.release().await;
    let next = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
    assert_eq!(next.token(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_dropped_is_free_for_whoever_comes_next() {
    let (source, config) = places("lease_dropped", Duration::from_secs(3600)).await;
    for token in 1..=5 {
        let held = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
        assert_eq!(held.token(), token);
        drop(held);
    }
    bullion::lease::released().await;
    let held = "SELECT count(*) FROM bullion_leases WHERE expires_at > clock_timestamp()";
    assert_eq!(source.count(held).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_given_to_whoever_has_gone_is_free() {
    let (source, config) = places("lease_cancelled", Duration::from_secs(3600)).await;
    let first = Lease::acquire(&config, "gold.daily", 0).await.unwrap();
    first.release().await;
    // PostgreSQL is asked, and answers only once nobody listens
    let lock = "BEGIN; SELECT * FROM bullion_leases FOR UPDATE";
    source.client.batch_execute(lock).await.unwrap();
    let asked = wait_for("the lease to be asked for", PATIENCE, async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
        (source.count(waiting).await > 0).then_some(())
    });
    tokio::select! {
        () = asked => {}
        taken = Lease::acquire(&config, "gold.daily", 0) => panic!("{:?}", taken.map(|_| ())),
    }
    source.client.batch_execute("COMMIT").await.unwrap();
    wait_for("the lease to be given and freed", PATIENCE, async || {
        let free = "SELECT count(*) FROM bullion_leases WHERE token = 2 AND expires_at <= clock_timestamp()";
        (source.count(free).await == 1).then_some(())
    })
    .await;
}
