//! The key is in nothing that is logged; `support/logs.rs` looks at all that the tests log.

use crate::support::thread_log::ThreadLog;
use crate::support::{Answer, KEY, RawServer, child, client, logs};

#[test]
fn what_the_client_and_its_connections_log_is_looked_at() {
    // In a process of its own: the lines of other tests would count as well.
    if child::is_one() {
        let server = RawServer::always(|| Answer::Http(500, vec![], KEY.into()));
        let call = async { client(&server.url()).get_usage().await };
        tokio::runtime::Runtime::new().unwrap().block_on(call).unwrap_err();
        let lines = logs::seen();
        assert!(lines > 20, "{lines} lines, of four attempts of which each is logged");
        return;
    }
    child::run("secrets::what_the_client_and_its_connections_log_is_looked_at", &[]);
}

#[test]
fn a_key_in_a_log_line_would_not_go_unseen() {
    if child::is_one() {
        logs::watch();
        tracing::info!("with {KEY}");
        return;
    }
    would_be_seen("secrets::a_key_in_a_log_line_would_not_go_unseen");
}

#[test]
fn a_key_in_the_log_of_one_thread_would_not_go_unseen() {
    if child::is_one() {
        let _log = ThreadLog::start();
        tracing::info!("with {KEY}");
        return;
    }
    would_be_seen("secrets::a_key_in_the_log_of_one_thread_would_not_go_unseen");
}

fn would_be_seen(test: &str) {
    let output = child::output(test, &[]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a secret is in a log line"), "{said}");
}
