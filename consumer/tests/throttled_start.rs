//! A fleet that starts together throttles itself: each process asks again, instead of ending.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use consumer::{Consumer, ConsumerError, each_batch};
use kinesis_testing::{Clock, Fault, Kinesis, Limits, Misbehaviour, ModelSource, Operation, ServiceErrorKind};
use lease_core::MemoryStore;
use stream_types::{Name, Timestamp};

async fn started_while_it_is_refused(kind: ServiceErrorKind) -> Result<(), ConsumerError> {
    let name = |text: &str| Name::new(text).expect("a valid name");
    let kinesis =
        Kinesis::new(Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000)), Limits::of_the_service());
    kinesis.create_stream("orders", 1).expect("a new stream");
    kinesis.misbehave(Fault::of(Operation::DescribeStreamSummary, Misbehaviour::Refuse(kind)).times(20));
    let source = Arc::new(ModelSource::new(kinesis, name("orders")));
    let consumer = Consumer::builder(Arc::new(MemoryStore::new(name("application"))), source)
        .build(each_batch(async |_batch| Ok::<(), io::Error>(())))
        .expect("the settings work");
    consumer.run_until(tokio::time::sleep(Duration::from_secs(120))).await.map(|report| assert!(report.left_in_time))
}

#[tokio::test(start_paused = true)]
async fn a_throttled_description_is_asked_for_again() {
    started_while_it_is_refused(ServiceErrorKind::LimitExceeded).await.expect("it outlasts throttling");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_answer_at_the_start_is_told_of_at_once() {
    let error = started_while_it_is_refused(ServiceErrorKind::InternalFailure).await.expect_err("nobody waits for it");
    assert!(error.to_string().contains("did not get through"), "{error}");
}
