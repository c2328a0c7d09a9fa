//! One process joins, one is killed, one is asked to leave, and the database itself goes away for longer than a lease lasts.

use std::time::{Duration, Instant};

use tests::backends::DynamodbServer;

use crate::fleet::{LEASE_DURATION, World, leases_in};

/// How long the database is away.
const OUTAGE: Duration = Duration::from_secs(20);

/// A database that can be stopped and started again.
trait Database {
    fn leases(&self) -> String;
    fn stop(&mut self);
    fn restart(&mut self);
}

impl Database for test_servers::Postgres {
    fn leases(&self) -> String {
        self.url()
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self).expect("it starts again");
    }
}

impl Database for test_servers::Redis {
    fn leases(&self) -> String {
        self.url()
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self).expect("it starts again");
    }
}

impl Database for DynamodbServer {
    fn leases(&self) -> String {
        leases_in(self)
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }
}

async fn three_processes_outlive_everything(mut database: impl Database) {
    let mut world = World::new(database.leases());
    let (victim, leaver, last) = (world.start("victim", &[]), world.start("leaver", &[]), world.start("last", &[]));
    world.put(400).await;
    world.wait_until_printed().await;
    let joiner = world.start("joiner", &[]);
    world.put(400).await;
    world.wait_until_printed().await;
    drop(victim);
    world.put(400).await;
    world.wait_until_printed().await;
    leaver.ask_to_leave();
    world.put(400).await;
    world.wait_until_printed().await;
    {
        let lines = world.lines();
        for worker in ["victim", "leaver", "last", "joiner"] {
            assert!(lines.records.values().flatten().any(|line| line.worker == worker), "{worker} had a share");
        }
        for (payload, printed) in lines.repeated() {
            assert_eq!(printed[0].worker, "victim", "{payload} was repeated without a crash: {printed:?}");
            assert_eq!(printed.len(), 2, "{payload} was repeated more than once: {printed:?}");
        }
    }

    database.stop();
    let stopped = Instant::now();
    // Not a wait for anything: by then every worker must have stopped by itself, because others may take its leases.
    tokio::time::sleep(LEASE_DURATION).await;
    let before = world.printed();
    world.put(400).await;
    tokio::time::sleep(OUTAGE.saturating_sub(stopped.elapsed())).await;
    assert_eq!(world.printed(), before, "records were delivered without a lease");
    database.restart();
    world.wait_until_printed().await;
    world.put(400).await;
    world.wait_until_printed().await;
    last.ask_to_leave();
    joiner.ask_to_leave();
    assert_eq!(world.lines().out_of_order, 0);
}

#[tokio::test]
async fn three_processes_on_postgres_outlive_a_kill_a_leave_and_an_outage() {
    if tests::endpoints::required("LEASEHOLD_TEST_POSTGRES").is_some() {
        three_processes_outlive_everything(test_servers::Postgres::start().expect("it starts")).await;
    }
}

#[tokio::test]
async fn three_processes_on_redis_outlive_a_kill_a_leave_and_an_outage() {
    if tests::endpoints::required("LEASEHOLD_TEST_REDIS").is_some() {
        let redis = test_servers::Redis::start(&["--appendonly", "yes"]).expect("it starts");
        three_processes_outlive_everything(redis).await;
    }
}

#[tokio::test]
async fn three_processes_on_dynamodb_outlive_a_kill_a_leave_and_an_outage() {
    three_processes_outlive_everything(DynamodbServer::new()).await;
}
