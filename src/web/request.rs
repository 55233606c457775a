//! May this client have an answer? The rules in force, asked at each request on a connection.

use super::answer::{Answers, plain};
use super::guard::{Guard, Rules};
use super::held::{Counted, Sum};
use super::slots::ConnectionSlots;
use super::stream::Source;
use super::users::Admission;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// One connection's client; hyper asks it for the answer to each request.
#[derive(Clone)]
pub(super) struct RequestHandler(Arc<Connection>);

/// What is known of it.
pub(super) struct Connection {
    pub(super) answers: Arc<Answers>,
    pub(super) guard: Arc<Guard>,
    pub(super) slots: Arc<ConnectionSlots>,
    /// Bytes of answers that it has not taken yet.
    pub(super) held: Sum,
    pub(super) source: Source,
    /// Whether it had an answer before.
    pub(super) answered: AtomicBool,
    /// How often it was denied.
    pub(super) failures: AtomicU32,
}

impl RequestHandler {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(connection))
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.0.guard.rules()
    }
}

impl Service<Request<Incoming>> for RequestHandler {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = Arc::clone(&self.0);
        Box::pin(async move {
            if connection.answered.swap(true, Ordering::Relaxed) {
                connection.slots.after_others().await;
            }
            let response = connection.respond(&request).await;
            let sums = [Arc::clone(&connection.held), connection.slots.held()];
            let response = response.map(|body| Counted::new(body, sums));
            connection.slots.make_room();
            Ok(response)
        })
    }
}

impl Connection {
    /// The answer, or why there is none.
    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let rules = self.guard.rules();
        let refusal = self.refusal(&rules, request).await;
        let mut response =
            refusal.unwrap_or_else(|| self.answers.answer(request.method(), request.uri(), request.headers()));
        for (name, value) in &rules.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// `None` where the request may be answered.
    async fn refusal(&self, rules: &Rules, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        if rules.rate_limit.as_ref().is_some_and(|bucket| !bucket.take()) {
            return Some(try_again(StatusCode::TOO_MANY_REQUESTS, "too many requests\n"));
        }
        if rules.config.users.is_empty() {
            return None;
        }
        let authorization = request.headers().get(header::AUTHORIZATION);
        let failures = self.failures.load(Ordering::Relaxed);
        match self.guard.users.admit(&rules.config.users, authorization, self.source, failures).await {
            Admission::Granted => None,
            Admission::Denied => {
                self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
                let mut response = plain(StatusCode::UNAUTHORIZED, "user and password are needed\n");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
                Some(response)
            }
            Admission::Busy => {
                Some(try_again(StatusCode::SERVICE_UNAVAILABLE, "too many passwords are being checked; try again\n"))
            }
        }
    }
}

fn try_again(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(status, body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
