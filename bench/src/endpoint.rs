//! How fast the endpoint of `kinesis-testing` serves records, for each second of the one core that it has.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kinesis_testing::{Clock, Endpoint, IteratorStart, Kinesis, Limits, PutEntry};
use stream_types::ShardId;

const RECORD_BYTES: usize = 1_024;
const RECORDS: usize = 10_000;
const READS: usize = 100;

/// What the server's thread tells at its end.
struct Served {
    cpu: Duration,
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let kinesis = Kinesis::new(Clock::system(), Limits::unlimited_rates());
    kinesis.create_stream("bench", 1)?;
    for number in 0..RECORDS {
        let data = vec![u8::try_from(number % 251)?; RECORD_BYTES];
        let entry = PutEntry { partition_key: format!("key-{number}"), explicit_hash_key: None, data: data.into() };
        kinesis.put_record("bench", entry)?;
    }
    let iterator =
        kinesis.shard_iterator("bench", &ShardId::new("shardId-000000000000")?, &IteratorStart::TrimHorizon)?;

    let (address_out, address_in) = mpsc::channel();
    let (stop_out, stop_in) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || serve(kinesis, &address_out, stop_in));
    let address: std::net::SocketAddr = address_in.recv()?;
    let begun = Instant::now();
    let mut client = Client::connect(address, &iterator)?;
    let mut bytes = 0;
    for _ in 0..READS {
        bytes += client.read()?;
    }
    let wall = begun.elapsed();
    drop(client);
    stop_out.send(()).map_err(|()| "the server is gone")?;
    let served = server.join().map_err(|_| "the server panicked")?.map_err(|error| error.to_string())?;

    let payload = f64::from(u32::try_from(READS * RECORDS * RECORD_BYTES / 1_000_000)?);
    println!("GetRecords over HTTP, {RECORDS} records of {RECORD_BYTES} bytes each time, {READS} times");
    println!("payload         {payload:.0} MB ({bytes} bytes on the wire)");
    println!("by the clock    {:.0} MB of payload a second", payload / wall.as_secs_f64());
    println!(
        "by the core     {:.0} MB of payload for each second of the server's thread",
        payload / served.cpu.as_secs_f64()
    );
    Ok(())
}

/// Serves on a runtime of this one thread until told to stop.
fn serve(
    kinesis: Kinesis,
    address: &mpsc::Sender<std::net::SocketAddr>,
    stop: tokio::sync::oneshot::Receiver<()>,
) -> Result<Served, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::start(kinesis, 0).await?;
        let before = cpu_of_this_thread()?;
        // Both ends are in this program: whoever is gone has said so.
        let _told = address.send(endpoint.address());
        let _stopped = stop.await;
        let cpu = cpu_of_this_thread()?.saturating_sub(before);
        endpoint.stop().await;
        Ok(Served { cpu })
    })
}

/// The time that the kernel has given to this thread (Linux only).
fn cpu_of_this_thread() -> Result<Duration, std::io::Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| std::io::Error::other("schedstat has another form"))
}

/// The least client there can be, so that the server is measured and not the client.
struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    fn connect(address: std::net::SocketAddr, iterator: &str) -> Result<Self, Box<dyn Error>> {
        let body = format!("{{\"ShardIterator\":\"{iterator}\"}}");
        let request = format!(
            "POST / HTTP/1.1\r\nhost: bench\r\nx-amz-target: Kinesis_20131202.GetRecords\r\nauthorization: none\r\n\
             content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = BufReader::with_capacity(1 << 20, TcpStream::connect(address)?);
        Ok(Self { stream, request: request.into_bytes(), body: Vec::new() })
    }

    /// Reads once; returns how many bytes the body had.
    fn read(&mut self) -> Result<usize, Box<dyn Error>> {
        self.stream.get_mut().write_all(&self.request)?;
        let mut length = None;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let length: usize = length.ok_or("the answer has no length")?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        if !self.body.starts_with(b"{\"Records\":[{") {
            return Err(String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into());
        }
        Ok(length)
    }
}
