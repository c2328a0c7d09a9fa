//! The model over HTTP: the JSON protocol of the service, on loopback.

mod answer;
mod operations;
mod reply;
mod request;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::reply::Reply;
use self::request::Arguments;
use crate::{Kinesis, Misbehaviour, Operation, ServiceError, ServiceErrorKind};

/// The most bytes of a request: 500 records of a `PutRecords`, encoded.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// What precedes the operation's name in the header that names it.
const TARGET_PREFIX: &str = "Kinesis_20131202.";

/// A Kinesis endpoint on loopback, for the AWS SDK in any language. That for Java has to be told to speak JSON
/// (`CBOR_ENABLED=false`, or `aws.cborEnabled`).
///
/// It speaks HTTP/1.1 and the JSON protocol, asks for a signature but does not check it, and stops when it is dropped.
///
/// ```
/// use kinesis_testing::{Clock, Endpoint, Kinesis, Limits};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let endpoint = Endpoint::start(Kinesis::new(Clock::system(), Limits::of_the_service()), 0).await?;
/// assert!(endpoint.url().starts_with("http://127.0.0.1:"));
/// endpoint.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: CancellationToken,
    /// The one task that serves; it ends with the endpoint.
    serving: JoinSet<()>,
}

impl Endpoint {
    /// Serves the model on that port of 127.0.0.1, or on any free one if it is 0.
    ///
    /// # Errors
    ///
    /// The port is taken.
    ///
    /// # Panics
    ///
    /// Called outside a tokio runtime.
    pub async fn start(kinesis: Kinesis, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, kinesis, stop.clone()));
        Ok(Self { address, stop, serving })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to give to an SDK.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops serving and waits until every connection is closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(Err(error)) = self.serving.join_next().await {
            debug!(%error, "the endpoint ended oddly");
        }
    }
}

/// Accepts connections until told to stop. The connections are its own: they end with it.
async fn serve(listener: TcpListener, kinesis: Kinesis, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, kinesis.clone(), stop.clone()));
                }
                Err(error) => debug!(%error, "a connection failed before it began"),
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn serve_connection(stream: TcpStream, kinesis: Kinesis, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "replies may be slow");
    }
    let service = service_fn(|request| {
        let kinesis = kinesis.clone();
        async move { answer(&kinesis, request).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        ended = connection => if let Err(error) = ended {
            debug!(%error, "a connection broke");
        },
    }
}

/// Answers a request, unless the connection is to break instead.
async fn answer(kinesis: &Kinesis, request: Request<Incoming>) -> io::Result<Response<Reply>> {
    let (operation, arguments) = match parsed(request).await {
        Ok(parsed) => parsed,
        Err(error) => return Ok(refusal(&error)),
    };
    let misbehaviour = fault_for(kinesis, &operation, &arguments);
    match &misbehaviour {
        Some(Misbehaviour::Refuse(kind)) => {
            return Ok(refusal(&ServiceError::new(*kind, "It was refused, as it was asked to be.")));
        }
        Some(Misbehaviour::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Misbehaviour::LoseReply | Misbehaviour::CutReply) | None => {}
    }
    let body = match operations::carry_out(kinesis, &operation, &arguments) {
        Ok(body) => Bytes::from(body),
        Err(error) => return Ok(refusal(&error)),
    };
    match misbehaviour {
        Some(Misbehaviour::LoseReply) => Err(reply::broken()),
        Some(Misbehaviour::CutReply) => Ok(response(StatusCode::OK, Reply::cut(&body))),
        _ => Ok(response(StatusCode::OK, Reply::whole(body))),
    }
}

fn refusal(error: &ServiceError) -> Response<Reply> {
    let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::BAD_REQUEST);
    response(status, Reply::whole(answer::error(error).into()))
}

fn fault_for(kinesis: &Kinesis, operation: &str, arguments: &Arguments) -> Option<Misbehaviour> {
    let operation = Operation::of_name(operation)?;
    let shard = match operation {
        Operation::GetRecords => arguments.text("ShardIterator").ok().flatten().and_then(Kinesis::shard_of_iterator),
        _ => arguments.optional_shard("ShardId").ok().flatten(),
    };
    kinesis.next_fault(operation, shard.as_ref())
}

/// The operation and its arguments.
async fn parsed(request: Request<Incoming>) -> Result<(String, Arguments), ServiceError> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target = header("x-amz-target").to_owned();
    let operation = target.strip_prefix(TARGET_PREFIX);
    let Some(operation) = operation.filter(|_| request.method() == Method::POST).map(str::to_owned) else {
        let message = format!("this endpoint takes POST requests with X-Amz-Target: {TARGET_PREFIX}OPERATION");
        return Err(ServiceError::new(ServiceErrorKind::UnknownOperation, message));
    };
    if header(AUTHORIZATION.as_str()).is_empty() {
        return Err(ServiceError::new(ServiceErrorKind::MissingAuthenticationToken, "Missing Authentication Token"));
    }
    let content_type = header(CONTENT_TYPE.as_str());
    if !content_type.starts_with("application/x-amz-json-1.") {
        let message = format!(
            "this endpoint speaks application/x-amz-json-1.1, not {content_type:?}; for CBOR, tell the SDK to speak JSON, as by \
             CBOR_ENABLED=false for Java"
        );
        return Err(ServiceError::new(ServiceErrorKind::Serialization, message));
    }
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect().await.map_err(|error| {
        let message = if error.is::<LengthLimitError>() { "the request is too large" } else { "the request broke off" };
        ServiceError::new(ServiceErrorKind::Serialization, message)
    })?;
    Ok((operation, Arguments::parse(&body.to_bytes())?))
}

fn response(status: StatusCode, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
