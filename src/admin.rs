//! The admin server: one ordinary thread with a well-kept HTTP library, which asks the shards by mail.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use heddle_model::ShardId;
use heddle_shard::{Mail, Metrics, SurveyPage};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::lag::Lag;
use crate::process::{self, Process};
use crate::prometheus::{self, Scrape};
use crate::run::Cores;

/// A core that does not answer within this is said to be unhealthy.
const PATIENCE: Duration = Duration::from_secs(2);
/// A client that takes nothing of its answer for so long gets no more of it.
const SEND_SECONDS: i64 = 5;
/// Answers on their way at once, of one connection and of all; more are dropped with their connections.
const ANSWERS_A_CONNECTION_MAX: usize = 4;
const ANSWERS_MAX: usize = 64;

/// What a core answered.
pub enum Told {
    Metrics(Box<Metrics>),
    Surveyed(ShardId, Box<SurveyPage>),
}

/// The request that it answers stands in front.
type Hear = Receiver<(u64, Told)>;

/// The port, before there is anybody to ask.
pub struct Bound {
    server: Arc<Server>,
    since: f64,
}

pub struct Admin {
    server: Arc<Server>,
    answers: Sender<(u64, Told)>,
    thread: JoinHandle<()>,
}

/// # Errors
/// If the address cannot be bound.
pub fn bind(addr: SocketAddr) -> Result<Bound, String> {
    let said = |e: &dyn std::fmt::Display| format!("admin server: cannot listen on {addr}: {e}");
    let listener = TcpListener::bind(addr).map_err(|e| said(&e))?;
    // Connections inherit it.
    setsockopt(&listener, sockopt::SendTimeout, &TimeVal::seconds(SEND_SECONDS)).map_err(|e| said(&e))?;
    let server = Server::from_listener(listener, None).map_err(|e| said(&e))?;
    Ok(Bound { server: Arc::new(server), since: process::now_seconds() })
}

impl Bound {
    /// Answer until `Admin::end`.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn serve(self, cores: Cores, data_dir: PathBuf) -> Result<Admin, String> {
        let Bound { server, since } = self;
        let (answers, hear) = mpsc::channel();
        let asker = Asker { cores, hear, data_dir, since, asked: 0 };
        let requests = server.clone();
        let thread = std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || serve(&requests, asker))
            .map_err(|e| format!("admin server: {e}"))?;
        Ok(Admin { server, answers, thread })
    }
}

impl Admin {
    pub fn on_told(&self, id: u64, told: Told) {
        // If the server's thread is gone nobody asks any more.
        let _ = self.answers.send((id, told));
    }

    /// Take no more requests. Afterwards nobody holds the cores.
    pub fn end(self) {
        let Admin { server, answers, thread } = self;
        // Whoever waits for an answer sees that none comes.
        drop(answers);
        server.unblock();
        if thread.join().is_err() {
            tracing::error!("the admin server's thread panicked");
        }
    }
}

fn serve(server: &Server, mut asker: Asker) {
    let mut under_way = UnderWay::default();
    for request in server.incoming_requests() {
        let (status, text) = asker.answer(&request);
        respond(request, status, text, &mut under_way);
    }
}

/// Answers that clients have not taken yet: each is alive as long as its thread holds it.
#[derive(Default)]
struct UnderWay(Vec<(Option<SocketAddr>, Weak<()>)>);

impl UnderWay {
    /// `None`: there are enough.
    fn begin(&mut self, client: Option<SocketAddr>) -> Option<Arc<()>> {
        self.0.retain(|(_, answer)| answer.strong_count() > 0);
        let of_client = self.0.iter().filter(|(other, _)| *other == client).count();
        if of_client >= ANSWERS_A_CONNECTION_MAX || self.0.len() >= ANSWERS_MAX {
            return None;
        }
        let answer = Arc::new(());
        self.0.push((client, Arc::downgrade(&answer)));
        Some(answer)
    }
}

/// On a thread of its own: who reads slowly keeps nobody else waiting.
fn respond(request: Request, status: u16, text: String, under_way: &mut UnderWay) {
    let Some(held) = under_way.begin(request.remote_addr().copied()) else { return drop(request.into_writer()) };
    let send = move || {
        let plain = Header::from_bytes("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            .expect("a header of plain ASCII");
        // A client that went away needs no answer.
        let _ = request.respond(Response::from_string(text).with_status_code(status).with_header(plain));
        drop(held);
    };
    if let Err(e) = std::thread::Builder::new().name("admin-answer".into()).spawn(send) {
        tracing::warn!("admin server: a request stays without an answer: {e}");
    }
}

/// Asks the cores, one question after another.
struct Asker {
    cores: Cores,
    hear: Hear,
    data_dir: PathBuf,
    since: f64,
    /// Questions so far: each has its number.
    asked: u64,
}

impl Asker {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        if *request.method() != Method::Get {
            return (405, "expected GET\n".into());
        }
        match request.url() {
            "/health" => self.health(),
            "/ready" => self.ready(),
            "/metrics" => (200, self.metrics()),
            other => (404, format!("{other} is not served; expected /health, /ready or /metrics\n")),
        }
    }

    fn health(&mut self) -> (u16, String) {
        let (found, count) = (self.scrape().len(), self.count());
        if found == count { (200, "healthy\n".into()) } else { (503, format!("{found} of {count} cores answer\n")) }
    }

    fn ready(&mut self) -> (u16, String) {
        let (metrics, count) = (self.scrape(), self.count());
        let mut why = String::new();
        if metrics.len() < count {
            why = format!("{} of {count} cores answer\n", metrics.len());
        }
        for m in &metrics {
            if let Some(text) = &m.unready {
                why += &format!("core {}: {text}\n", m.shard);
            }
        }
        if why.is_empty() { (200, "ready\n".into()) } else { (503, why) }
    }

    fn metrics(&mut self) -> String {
        let shards = self.scrape();
        let lag = Lag::ask(&self.cores, self.asked, || self.surveyed());
        prometheus::write(&Scrape {
            shards: &shards,
            drivers: &self.cores.stats(),
            lag: lag.as_ref(),
            process: Process::read(),
            since: self.since,
            space: process::space(&self.data_dir),
        })
    }

    fn count(&self) -> usize {
        self.cores.stats().len()
    }

    /// What the cores say of themselves, in their order; those that do not answer in time are missing.
    fn scrape(&mut self) -> Vec<Metrics> {
        self.asked += 1;
        let (id, count) = (self.asked, self.count());
        for shard in 0..count {
            self.cores.mail(ShardId(shard as u16), Mail::Scrape { id });
        }
        let until = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        while found.len() < count {
            match self.hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((of, Told::Metrics(metrics))) if of == id => found.push(*metrics),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        found.sort_by_key(|m| m.shard);
        found
    }

    /// The next page of the survey; `None`: no core answers.
    fn surveyed(&self) -> Option<(ShardId, SurveyPage)> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((of, Told::Surveyed(shard, page))) if of == self.asked => return Some((shard, *page)),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_all_answers() {
        let client = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut under_way = UnderWay::default();
        let mut held: Vec<Arc<()>> = (0..9).filter_map(|_| under_way.begin(client(1))).collect();
        assert_eq!(held.len(), ANSWERS_A_CONNECTION_MAX);
        held.extend((2..99).filter_map(|port| under_way.begin(client(port))));
        assert_eq!(held.len(), ANSWERS_MAX);
        held.truncate(ANSWERS_MAX - 1);
        assert!(under_way.begin(client(100)).is_some());
    }
}
