//! Threads for work of unbounded cost (`Effect::Work`), shared by all cores.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use heddle_border::{Token, Work};

use crate::mailbox::{Mailbox, News};

type Job = Box<dyn FnOnce() + Send>;

/// Where a core leaves work. The threads end when the last of these is gone, or with `Threads::join`.
#[derive(Clone)]
pub(crate) struct Workers {
    jobs: Sender<Next>,
}

/// What a thread takes from the queue.
enum Next {
    Run(Job),
    End,
}

/// The threads themselves.
pub(crate) struct Threads {
    workers: Workers,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Let them finish what they were given, and wait for it. No core may run any more. They are told, since a core that
    /// left its memory behind left its `Workers` behind too.
    ///
    /// # Errors
    /// If a thread panicked. What it runs is guarded, so none does.
    pub(crate) fn join(self) -> Result<(), String> {
        for _ in &self.threads {
            // Refused if all threads are gone, which is what is wanted.
            let _ = self.workers.jobs.send(Next::End);
        }
        let panicked = self.threads.into_iter().filter_map(|thread| thread.join().err()).count();
        if panicked == 0 { Ok(()) } else { Err("a work thread panicked".to_owned()) }
    }
}

impl Workers {
    pub(crate) fn start(threads: usize) -> io::Result<(Workers, Threads)> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let thread = |number| {
            let queue = queue.clone();
            Builder::new().name(format!("heddle-work-{number}")).spawn(move || work(&queue))
        };
        let threads = (0..threads.max(1)).map(thread).collect::<io::Result<Vec<_>>>()?;
        let workers = Workers { jobs };
        Ok((workers.clone(), Threads { workers, threads }))
    }

    /// Run it, and put what came of it into `mailbox`; `None` if it panicked.
    pub(crate) fn run<M: Send + 'static>(&self, token: Token, run: Work, mailbox: Arc<Mailbox<M>>) {
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(run)).ok();
            mailbox.put_and_ring(|queues| queues.news.push(News::Worked { token, result }));
        };
        self.jobs.send(Next::Run(Box::new(job))).expect("the threads work as long as a core runs");
    }
}

fn work(queue: &Mutex<Receiver<Next>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(Next::Run(job)) => job(),
            Ok(Next::End) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    use heddle_border::Product;

    use super::*;

    #[test]
    fn the_threads_end_though_a_core_left_its_memory_behind() {
        let (workers, threads) = Workers::start(2).unwrap();
        let mailbox = Arc::new(Mailbox::<()>::new().unwrap());
        workers.run(Token { owner: 0, seq: 7 }, Box::new(|| Product::new("done")), mailbox.clone());
        std::mem::forget(workers);

        let (said, ended) = mpsc::channel();
        std::thread::spawn(move || said.send(threads.join()));
        let ended = ended.recv_timeout(Duration::from_secs(20));
        assert_ne!(ended, Err(RecvTimeoutError::Timeout), "they wait for work of a core that is gone");
        assert_eq!(ended, Ok(Ok(())));
        let mut news = Vec::new();
        mailbox.take(&mut Default::default(), &mut news);
        let Some(News::Worked { token: Token { owner: 0, seq: 7 }, result: Some(product) }) = news.pop() else {
            panic!("what was given is done")
        };
        assert_eq!(product.take::<&str>(), "done");
    }
}
