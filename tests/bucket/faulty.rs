//! An S3 server in the test's process (`s3s` over a directory) with faults by script, for what reality does not give.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::task::AbortHandle;

use super::{ACCESS, BUCKET, SECRET};

type Fail = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, Fail>>;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// An answer with this status and S3 code.
    Refuse(u16, &'static str),
    /// The connection is cut when some of the body has come.
    Reset,
    /// Nothing is ever answered, and nothing read.
    Hang,
    /// The body is taken, success is answered, and nothing kept.
    Drop,
    /// Only half of the body is kept.
    Shorten,
    /// One byte is kept as another.
    Alter,
    /// The answer's body ends in its middle.
    CutAnswer,
    /// The answer's body falls silent in its middle.
    StallAnswer,
    /// The request is carried out, and the answer lost.
    LoseAnswer,
    /// The request is carried out, and the answer held back until the script is mended.
    Late,
    /// An answer with this status and body.
    Say(u16, &'static str),
    /// A server's error whose body never ends.
    Endless,
    /// "It is over there."
    SendTo(SocketAddr),
}

/// To which requests, and how often.
struct Rule {
    method: Method,
    /// Must both be in the path and query.
    within: [String; 2],
    times: usize,
    deed: Deed,
}

/// The server. It ends when it is dropped.
pub struct Faulty {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    script: Arc<Mutex<Vec<Rule>>>,
    seen: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Faulty {
    pub async fn start() -> Self {
        Self::with_domain(None).await
    }

    /// One that takes a bucket's name from the host's, below this domain.
    pub async fn with_domain(domain: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let files = s3s_fs::FileSystem::new(dir.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS, SECRET));
        if let Some(domain) = domain {
            builder.set_host(s3s::host::SingleDomain::new(domain).unwrap());
        }
        let service = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (script, seen) = (Arc::<Mutex<Vec<Rule>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (rules, log) = (Arc::clone(&script), Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (service, rules, log) = (service.clone(), Arc::clone(&rules), Arc::clone(&log));
                let each =
                    service_fn(move |request| one(service.clone(), Arc::clone(&rules), Arc::clone(&log), request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { http.serve_connection(TokioIo::new(connection), each).await });
            }
        });
        let task = serving.abort_handle();
        Self {
            dir,
            address,
            script,
            seen,
            task,
        }
    }

    /// From now on, requests of this method with `within` in their address meet `deed`, so many times.
    pub fn script(&self, method: &str, within: &str, times: usize, deed: Deed) {
        self.script_of(method, [within, ""], times, deed);
    }

    /// The same with both of these in their address.
    pub fn script_of(&self, method: &str, within: [&str; 2], times: usize, deed: Deed) {
        self.script.lock().unwrap().push(Rule {
            method: method.parse().unwrap(),
            within: within.map(str::to_owned),
            times,
            deed,
        });
    }

    pub fn mend(&self) {
        self.script.lock().unwrap().clear();
    }

    /// Methods and addresses of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn one(
    service: S3Service,
    script: Arc<Mutex<Vec<Rule>>>,
    seen: Arc<Mutex<Vec<String>>>,
    request: Request<Incoming>,
) -> Result<Answer, Fail> {
    let address = request.uri().to_string();
    seen.lock().unwrap().push(format!("{} {address}", request.method()));
    let deed = {
        let mut rules = script.lock().unwrap();
        let fits = |rule: &&mut Rule| {
            let within = rule.within.iter().all(|part| address.contains(part));
            rule.times > 0 && rule.method == *request.method() && within
        };
        rules.iter_mut().find(fits).map(|rule| {
            rule.times = rule.times.saturating_sub(1);
            rule.deed
        })
    };
    match deed {
        None => {
            let request = request.map(s3s::Body::from);
            Ok(carry_out(&service, request).await)
        }
        Some(Deed::Late) => {
            let answer = carry_out(&service, request.map(s3s::Body::from)).await;
            while !script.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(answer)
        }
        Some(deed) => meet(&service, deed, request).await,
    }
}

async fn carry_out(service: &S3Service, request: Request<s3s::Body>) -> Answer {
    match service.call(request).await {
        Ok(answer) => answer.map(|body| body.map_err(|error| Fail::from(error.to_string())).boxed_unsync()),
        Err(error) => refusal(500, &format!("{error:?}")),
    }
}

fn refusal(status: u16, code: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as scripted</Message></Error>");
    says(status, text)
}

fn says(status: u16, text: String) -> Answer {
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

async fn meet(service: &S3Service, deed: Deed, request: Request<Incoming>) -> Result<Answer, Fail> {
    match deed {
        Deed::Refuse(status, code) => {
            let _ = request.into_body().collect().await;
            Ok(refusal(status, code))
        }
        Deed::Reset => {
            let mut body = request.into_body();
            let _ = body.frame().await;
            Err("cut by the script".into())
        }
        // It is done where the script is.
        Deed::Late | Deed::Hang => std::future::pending().await,
        Deed::Say(status, text) => {
            let _ = request.into_body().collect().await;
            Ok(says(status, text.to_owned()))
        }
        Deed::Endless => {
            let _ = request.into_body().collect().await;
            let filler = || async { Some((Ok(Frame::data(Bytes::from_static(&[b'x'; 1 << 14]))), ())) };
            let mut answer = Response::new(StreamBody::new(stream::unfold((), move |()| filler())).boxed_unsync());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Ok(answer)
        }
        Deed::SendTo(address) => {
            let there = format!("http://{address}{}", request.uri());
            let mut answer = says(307, String::new());
            answer.headers_mut().insert(LOCATION, HeaderValue::try_from(there)?);
            Ok(answer)
        }
        Deed::Drop => {
            let _ = request.into_body().collect().await;
            let mut answer = refusal(200, "");
            answer
                .headers_mut()
                .insert(ETAG, HeaderValue::from_static("\"0123456789abcdef\""));
            Ok(answer)
        }
        Deed::Shorten => Ok(carry_out(service, changed(request, |bytes| bytes.truncate(bytes.len() / 2)).await).await),
        Deed::Alter => {
            let alter = |bytes: &mut Vec<u8>| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            };
            Ok(carry_out(service, changed(request, alter).await).await)
        }
        Deed::LoseAnswer => {
            carry_out(service, request.map(s3s::Body::from)).await;
            Err("lost by the script".into())
        }
        Deed::CutAnswer | Deed::StallAnswer => {
            let answer = carry_out(service, request.map(s3s::Body::from)).await;
            Ok(broken(answer, deed).await)
        }
    }
}

/// The request with another body.
async fn changed(request: Request<Incoming>, change: impl FnOnce(&mut Vec<u8>)) -> Request<s3s::Body> {
    let (mut head, body) = request.into_parts();
    let mut bytes = body.collect().await.unwrap().to_bytes().to_vec();
    change(&mut bytes);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Request::from_parts(head, s3s::Body::from(bytes))
}

/// The answer with half of its body.
async fn broken(answer: Answer, deed: Deed) -> Answer {
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let half = stream::iter([Ok(Frame::data(bytes.slice(..bytes.len() / 2)))]);
    let end = stream::once(async move {
        if deed == Deed::StallAnswer {
            std::future::pending::<()>().await;
        }
        // Let what was sent before go out.
        tokio::task::yield_now().await;
        Err(Fail::from("cut by the script"))
    });
    Response::from_parts(head, StreamBody::new(half.chain(end)).boxed_unsync())
}
