//! Threads for work of unbounded cost (`Effect::Work`), shared by all cores.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use heddle_border::{Token, Work};

use crate::mailbox::{Mailbox, News};

type Job = Box<dyn FnOnce() + Send>;

/// Where a core leaves work. The threads end when the last of these is gone.
#[derive(Clone)]
pub(crate) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    pub(crate) fn start(threads: usize) -> io::Result<(Workers, Vec<JoinHandle<()>>)> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let thread = |number| {
            let queue = queue.clone();
            Builder::new().name(format!("heddle-work-{number}")).spawn(move || work(&queue))
        };
        let threads = (0..threads.max(1)).map(thread).collect::<io::Result<Vec<_>>>()?;
        Ok((Workers { jobs }, threads))
    }

    /// Run it, and put what came of it into `mailbox`; `None` if it panicked.
    pub(crate) fn run<M: Send + 'static>(&self, token: Token, run: Work, mailbox: Arc<Mailbox<M>>) {
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(run)).ok();
            mailbox.put_and_ring(|queues| queues.news.push(News::Worked { token, result }));
        };
        self.jobs.send(Box::new(job)).expect("the threads work as long as there is a sender");
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
