//! Lease tables over encrypted connections, to servers that take no others.
#![cfg(all(feature = "postgres", feature = "redis"))]

mod common;

use std::process::{Command, Stdio};

use test_servers::{Postgres, Redis};
use tests::endpoints::required;

/// Prints some records, with the leases in that table, and trusting that certificate.
fn consumes(leases: &str, certificate: &std::path::Path) {
    let server = common::kinesis(&["--stream", "orders:2", "--produce", "50"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(["consume", "--stream", "orders", "--endpoint-url", &server.url, "--max-records", "5"]);
    command.args(["--leases", leases]).env("SSL_CERT_FILE", certificate).stdin(Stdio::null());
    let output = command.output().expect("the command runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5, "{error}");
}

#[test]
fn postgres_is_reached_over_a_connection_that_is_encrypted_and_verified() {
    if required("LEASEHOLD_TEST_POSTGRES").is_none() {
        return;
    }
    let server = Postgres::start_with_tls().expect("it starts, as the shared one did");
    let certificate = server.certificate();
    let parameters = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    consumes(&format!("{}?{parameters}", server.url()), &certificate);
}

#[test]
fn redis_is_reached_over_a_connection_that_is_encrypted_and_verified() {
    if required("LEASEHOLD_TEST_REDIS").is_none() {
        return;
    }
    let server = Redis::start_with_tls().expect("it starts, as the shared one did");
    consumes(&server.url().replace("redis://", "rediss://"), &server.certificate());
}
