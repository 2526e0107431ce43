//! A signal ends a command also where its server says nothing any more.

use std::process::Stdio;

use crate::gold::daily;
use crate::support::program::Running;
use crate::support::proxy::{Proxy, Weather};
use crate::support::{PATIENCE, wait_for};

/// Without the signal each of these gives up after ten seconds, with another exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_a_silent_clickhouse_obeys_the_signal() {
    let project = daily().await;
    let server = project.engine.child.url.trim_start_matches("http://");
    let mut proxy = Proxy::before(server);
    proxy.set(Weather::BlackHole);
    for arguments in [
        "plan --date 2024-03-01",
        "status",
        "migrate",
        "gold --date 2024-03-01",
    ] {
        let before = proxy.connections();
        let mut command = project.command(arguments);
        command
            .env(
                "BULLION_CLICKHOUSE_URL",
                format!("http://{}", proxy.address),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        wait_for("it to ask", PATIENCE, || async {
            (proxy.connections() > before).then_some(())
        })
        .await;
        running.signal("TERM");
        assert_eq!(running.wait(PATIENCE), 143, "{arguments}");
    }
}
