//! Kinesis endpoints on this machine, and clients of them.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use kinesis_testing::{Clock, Endpoint, Kinesis, Limits};

/// An endpoint to run checks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Our own, started for each check.
    Ours,
    /// `kinesis-local`, started by `cargo xtask test`.
    KinesisLocal,
    /// One given by a variable.
    Given,
}

/// A client of the endpoint at that URL, which takes any signature.
#[must_use]
pub fn client(url: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// Runs a check against an endpoint, or says why not.
///
/// # Panics
///
/// The check fails; or the endpoint is missing where it must be there, in CI.
pub fn run(target: Target, gap: Option<&str>, check: impl AsyncFnOnce(Client)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    if let Some(gap) = gap {
        println!("not run: {gap}");
        return;
    }
    runtime.block_on(async {
        match target {
            Target::Ours => {
                let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
                let endpoint = Endpoint::start(kinesis, 0).await.expect("a port is free");
                check(client(&endpoint.url())).await;
                endpoint.stop().await;
            }
            Target::KinesisLocal => {
                if let Some(url) = required("LEASEHOLD_TEST_KINESIS_LOCAL") {
                    check(client(&url)).await;
                }
            }
            Target::Given => match std::env::var("LEASEHOLD_TEST_ENDPOINT") {
                Ok(url) => check(client(&url)).await,
                Err(_) => println!("not run: LEASEHOLD_TEST_ENDPOINT names no endpoint"),
            },
        }
    });
}

/// A variable that `cargo xtask test` sets when it could start what the variable names.
///
/// # Panics
///
/// It is not set in CI, where nothing may be skipped.
#[must_use]
pub fn required(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set: run the tests by cargo xtask test");
        println!("SKIPPED: {variable} is not set: run the tests by cargo xtask test");
    }
    value
}
