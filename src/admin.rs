//! The admin server: one ordinary thread with a well-kept HTTP library, which asks the shards by mail.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use heddle_model::ShardId;
use heddle_shard::{Mail, Metrics, SurveyPage};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::lag::Lag;
use crate::prometheus;
use crate::run::Cores;

/// A core that does not answer within this is said to be unhealthy.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a core answered.
pub enum Told {
    Metrics(Box<Metrics>),
    Surveyed(ShardId, Box<SurveyPage>),
}

/// The request that it answers stands in front.
type Hear = Receiver<(u64, Told)>;

pub struct Admin {
    answers: Mutex<Sender<(u64, Told)>>,
}

impl Admin {
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(addr: SocketAddr, cores: Cores) -> Result<Arc<Admin>, String> {
        let server = Server::http(addr).map_err(|e| format!("--admin-addr {addr}: {e}"))?;
        let (answers, hear) = mpsc::channel();
        std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || serve(&server, &cores, &hear))
            .map_err(|e| format!("admin server: {e}"))?;
        Ok(Arc::new(Admin { answers: Mutex::new(answers) }))
    }

    pub fn on_told(&self, id: u64, told: Told) {
        if let Ok(answers) = self.answers.lock() {
            // If the server thread is gone nobody asks any more.
            let _ = answers.send((id, told));
        }
    }
}

fn serve(server: &Server, cores: &Cores, hear: &Hear) {
    let scrapes = AtomicU64::new(0);
    for request in server.incoming_requests() {
        let id = scrapes.fetch_add(1, Ordering::Relaxed);
        let (status, text) = answer(&request, cores, hear, id);
        let plain = Header::from_bytes("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            .expect("a header of plain ASCII");
        // A client that went away needs no answer.
        let _ = request.respond(Response::from_string(text).with_status_code(status).with_header(plain));
    }
}

fn answer(request: &Request, cores: &Cores, hear: &Hear, id: u64) -> (u16, String) {
    if *request.method() != Method::Get {
        return (405, "expected GET\n".into());
    }
    match request.url() {
        "/health" | "/ready" | "/metrics" => {}
        other => return (404, format!("{other} is not served; expected /health, /ready or /metrics\n")),
    }
    let count = cores.stats().len();
    let metrics = scrape(cores, hear, id);
    let all = metrics.len() == count;
    match request.url() {
        "/health" if all => (200, "healthy\n".into()),
        "/health" => (503, format!("{} of {} cores answer\n", metrics.len(), count)),
        "/ready" if all && metrics.iter().all(|m| m.ready) => (200, "ready\n".into()),
        "/ready" => (503, "starting or stopping\n".into()),
        _ => {
            let lag = Lag::ask(cores, id, || surveyed(hear, id));
            (200, prometheus::write(&metrics, &cores.stats(), lag.as_ref()))
        }
    }
}

/// What the cores say of themselves, in their order; those that do not answer in time are missing.
fn scrape(cores: &Cores, hear: &Hear, id: u64) -> Vec<Metrics> {
    let count = cores.stats().len();
    for shard in 0..count {
        cores.mail(ShardId(shard as u16), Mail::Scrape { id });
    }
    let until = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while found.len() < count {
        match hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((of, Told::Metrics(metrics))) if of == id => found.push(*metrics),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    found.sort_by_key(|m| m.shard);
    found
}

/// The next page of the survey; `None`: no core answers.
fn surveyed(hear: &Hear, id: u64) -> Option<(ShardId, SurveyPage)> {
    let until = Instant::now() + PATIENCE;
    loop {
        match hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((of, Told::Surveyed(shard, page))) if of == id => return Some((shard, *page)),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
