//! Work on several threads whose result does not show on how many.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::plan::Progress;

/// The results of `work` on each job, in the order of the jobs.
pub fn map<J: Sync, R: Send>(
    jobs: &[J],
    threads: usize,
    progress: Progress<'_>,
    work: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(jobs.len())));
    let labour = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { break };
            let result = work(job);
            done.lock().expect("no thread panics with the lock held").push((index, result));
            progress(index);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(labour);
        }
        labour();
    });
    let mut results = done.into_inner().expect("no thread panics with the lock held");
    results.sort_unstable_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_on_any_number_of_threads() {
        let jobs: Vec<u64> = (0..100).collect();
        let squares: Vec<u64> = jobs.iter().map(|n| n * n).collect();
        for threads in [1, 2, 7, 200] {
            let count = AtomicUsize::new(0);
            let progress = |job: usize| _ = count.fetch_add(job, Ordering::Relaxed);
            assert_eq!(map(&jobs, threads, &progress, |n| n * n), squares);
            assert_eq!(count.into_inner(), (0..100).sum::<usize>());
        }
        assert_eq!(map(&[], 4, &|_| (), |n: &u64| *n), Vec::<u64>::new());
    }
}
