//! The loop: disturb, wait until all is well again, and so on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use kinesis_testing::{Clock, Endpoint, Fault, Kinesis, Limits, Misbehaviour, Operation, PutEntry, ServiceErrorKind};
use tokio::time::sleep;

use super::disturbance::{Disturbance, Disturbed};
use super::figures::Figures;
use super::fleet::{HEARTBEAT, LEASE_DURATION, Process};
use super::table::Table;
use super::truth::Truth;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command `leasehold`, with the features of all lease tables.
    pub program: PathBuf,
    /// `postgres`, `redis` or `dynamodb`.
    pub table: String,
    /// For how long.
    pub length: Duration,
    /// Decides what is done when.
    pub seed: u64,
}

/// How many processes there are.
const PROCESSES: usize = 3;

/// How often records are put, and how many.
const PUT_EVERY: Duration = Duration::from_millis(100);
const PUT_COUNT: usize = 4;

/// How long a fleet may take, whatever happened to it, before the soak is given up.
const GIVE_UP: Duration = Duration::from_secs(180);

struct Soak {
    options: Options,
    random: Rng,
    kinesis: Kinesis,
    endpoint: SocketAddr,
    table: Table,
    truth: Arc<Mutex<Truth>>,
    processes: Vec<Process>,
    started: usize,
    disturbed: Vec<Disturbed>,
    /// The last lines of the process that left last.
    left: Vec<String>,
    figures: Figures,
    put: Instant,
}

/// Soaks one lease table. Returns whether every promise was kept.
///
/// # Errors
///
/// The servers or the processes cannot be started, or the fleet does not recover at all.
pub async fn soak(options: Options) -> Result<bool, String> {
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    kinesis.create_stream("orders", 6).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::start(kinesis.clone(), 0).await.map_err(|error| error.to_string())?;
    let address = endpoint.url().trim_start_matches("http://").parse().map_err(|error| format!("{error}"))?;
    let mut soak = Soak {
        random: Rng::with_seed(options.seed),
        table: Table::start(&options.table)?,
        kinesis,
        endpoint: address,
        truth: Arc::default(),
        processes: Vec::new(),
        started: 0,
        disturbed: Vec::new(),
        left: Vec::new(),
        figures: Figures::default(),
        put: Instant::now(),
        options,
    };
    let kept = soak.run().await;
    endpoint.stop().await;
    kept
}

impl Soak {
    async fn run(&mut self) -> Result<bool, String> {
        for _ in 0..PROCESSES {
            self.start().await?;
        }
        self.recover().await?;
        self.wait_until_all_have_started().await;
        let begun = Instant::now();
        while begun.elapsed() < self.options.length {
            let all = Disturbance::ALL;
            let disturbance = all[self.random.usize(..all.len())];
            if disturbance == Disturbance::DiskFull && !self.table.has_a_disk() {
                continue;
            }
            self.disturb(disturbance).await?;
            let mut recovered = self.recover().await?;
            if disturbance == Disturbance::Kill {
                recovered = self.outlive_the_dead(recovered).await?;
            }
            if !self.figures.recovered(disturbance, recovered) {
                self.tell_what_went_before();
            }
            let pause = Duration::from_millis(self.random.u64(200..2_000));
            self.load_for(pause).await;
            self.replace_the_ended().await?;
            self.wait_until_all_have_started().await;
        }
        self.wait_until_all_is_printed().await;
        self.processes.clear();
        let truth = self.truth();
        let verdict = truth.verdict(&self.disturbed, LEASE_DURATION);
        Ok(self.figures.tell(&self.options.table, &truth, &verdict))
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&mut self) -> Result<(), String> {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        let truth = Arc::clone(&self.truth);
        let process = Process::start(&self.options.program, name, &self.table, self.endpoint, truth).await?;
        self.processes.push(process);
        Ok(())
    }

    /// Does it, and undoes it.
    async fn disturb(&mut self, disturbance: Disturbance) -> Result<(), String> {
        let began = Instant::now();
        let victim = self.random.usize(..self.processes.len());
        let mut worker = Some(self.processes[victim].name.clone());
        let length = disturbance.length(&mut self.random);
        match disturbance {
            Disturbance::Kill => {
                drop(self.processes.swap_remove(victim));
                self.start().await?;
            }
            Disturbance::PoliteRestart => {
                self.start().await?;
                self.processes[victim].signal("-TERM");
                let deadline = Instant::now() + GIVE_UP;
                while self.processes[victim].has_ended().is_none() && Instant::now() < deadline {
                    self.load_for(PUT_EVERY).await;
                }
                let left = self.processes.swap_remove(victim);
                self.left = left.last_lines();
            }
            Disturbance::Freeze => {
                self.processes[victim].signal("-STOP");
                self.load_for(length).await;
                self.processes[victim].signal("-CONT");
            }
            Disturbance::KinesisRefuses => {
                worker = None;
                self.misbehave();
                self.load_for(length).await;
                self.kinesis.behave();
            }
            Disturbance::TableRestarts => {
                worker = None;
                self.table.stop();
                self.load_for(length).await;
                self.table.restart()?;
            }
            Disturbance::DiskFull => {
                worker = None;
                self.table.fill_disk()?;
                self.load_for(length).await;
                self.table.clear_disk()?;
            }
            Disturbance::Reshard => self.reshard(),
            _ => {
                let (to_table, to_kinesis) = disturbance.networks();
                self.processes[victim].to_table.set(to_table);
                self.processes[victim].to_kinesis.set(to_kinesis);
                self.load_for(length).await;
                self.processes[victim].to_table.set(crate::rough_proxy::Roughness::Fair);
                self.processes[victim].to_kinesis.set(crate::rough_proxy::Roughness::Fair);
            }
        }
        self.disturbed.push(Disturbed { what: disturbance, worker, began, ended: Instant::now() });
        Ok(())
    }

    /// Puts records for that long.
    async fn load_for(&mut self, length: Duration) {
        let until = Instant::now() + length;
        loop {
            self.load();
            let now = Instant::now();
            if now >= until {
                return;
            }
            sleep(PUT_EVERY.min(until - now)).await;
        }
    }

    /// Puts what is due since the last time.
    fn load(&mut self) {
        while self.put <= Instant::now() {
            self.put += PUT_EVERY;
            for _ in 0..PUT_COUNT {
                let number = self.truth().count();
                let partition_key = format!("key-{}", self.random.u16(..500));
                let data = number.to_string().into();
                let entry = PutEntry { partition_key, explicit_hash_key: None, data };
                // One that a shard refuses because it is asked for too much comes to nobody.
                let mut truth = self.truth.lock().unwrap_or_else(PoisonError::into_inner);
                if let Ok(put) = self.kinesis.put_record("orders", entry) {
                    truth.produced(put.shard.as_str());
                }
            }
        }
    }

    /// Waits until all that was produced by now has been printed; returns how long that took.
    async fn recover(&mut self) -> Result<Duration, String> {
        let (begun, produced) = (Instant::now(), self.truth().count());
        while !self.truth().has_all_of(produced) {
            if begun.elapsed() > GIVE_UP {
                let ended: Vec<String> = self.processes.iter_mut().filter_map(Process::has_ended).collect();
                return Err(format!("{}: the fleet does not recover; {ended:?}", self.options.table));
            }
            self.load_for(PUT_EVERY).await;
        }
        Ok(begun.elapsed())
    }

    /// Nobody is disturbed while it starts.
    async fn wait_until_all_have_started(&mut self) {
        let begun = Instant::now();
        while !self.processes.iter().all(Process::has_started) && begun.elapsed() < GIVE_UP {
            self.load_for(PUT_EVERY).await;
        }
    }

    /// Until a death is known, leases may still be given to the dead, if it had just come. What is produced meanwhile must come
    /// within the same bound; and what is done to the fleet next is not to be judged by it.
    async fn outlive_the_dead(&mut self, recovered: Duration) -> Result<Duration, String> {
        let known = Instant::now() + (LEASE_DURATION + HEARTBEAT * 2).saturating_sub(recovered);
        let mut longest = recovered;
        while Instant::now() < known {
            self.load_for(PUT_EVERY).await;
            longest = longest.max(self.recover().await?);
        }
        Ok(longest)
    }

    /// The last records come, and no others.
    async fn wait_until_all_is_printed(&self) {
        let (begun, produced) = (Instant::now(), self.truth().count());
        while !self.truth().has_all_of(produced) && begun.elapsed() < GIVE_UP {
            sleep(PUT_EVERY).await;
        }
    }

    /// A process may only end because it was asked to.
    async fn replace_the_ended(&mut self) -> Result<(), String> {
        let ended: Vec<(usize, String)> = self
            .processes
            .iter_mut()
            .enumerate()
            .filter_map(|(index, process)| process.has_ended().map(|how| (index, how)))
            .collect();
        for (index, how) in ended.into_iter().rev() {
            self.figures.ended_by_themselves.push(how);
            drop(self.processes.swap_remove(index));
            self.start().await?;
        }
        Ok(())
    }

    /// A fleet did not recover in time: what had been done to it, and what its processes have to say.
    fn tell_what_went_before(&self) {
        let table = &self.options.table;
        let now = Instant::now();
        for disturbed in self.disturbed.iter().rev().take(4).rev() {
            let Disturbed { what, worker, began, ended, .. } = disturbed;
            let (began, ended) = (now - *began, now - *ended);
            println!("{table}: {} ({worker:?}) from {began:.1?} to {ended:.1?} before", what.name());
        }
        let present = self.processes.iter().map(|process| (process.name.as_str(), process.last_lines()));
        for (name, lines) in present.chain([("who left last", self.left.clone())]) {
            lines.iter().for_each(|line| println!("{table}: {name}: {line}"));
        }
    }

    fn misbehave(&mut self) {
        let kinds = [
            Misbehaviour::Refuse(ServiceErrorKind::ProvisionedThroughputExceeded),
            Misbehaviour::Refuse(ServiceErrorKind::InternalFailure),
            Misbehaviour::Refuse(ServiceErrorKind::ExpiredIterator),
            Misbehaviour::CutReply,
            Misbehaviour::Delay(Duration::from_secs(2)),
        ];
        let kind = kinds[self.random.usize(..kinds.len())].clone();
        self.kinesis.misbehave(Fault::of(Operation::GetRecords, kind).always());
    }

    /// Splits the widest shard, or merges two.
    fn reshard(&mut self) {
        let Ok(open) = self.kinesis.open_shards("orders") else { return };
        let width = |shard: &stream_types::Shard| shard.hash_range.map_or(0, |range| range.end() - range.start());
        // A stream that refuses keeps its shards.
        let _refused = if open.len() > 4 && self.random.bool() {
            let index = self.random.usize(..open.len() - 1);
            self.kinesis.merge_shards("orders", &open[index].id, &open[index + 1].id)
        } else {
            let Some(widest) = open.iter().max_by_key(|shard| width(shard)) else { return };
            let Some(range) = widest.hash_range else { return };
            self.kinesis.split_shard("orders", &widest.id, range.start() + width(widest) / 2 + 1)
        };
    }
}
