//! What this process may use of the machine: CPUs and memory, as the kernel and the control group of a container say.

use std::fs;
use std::path::Path;

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// Assumed if the kernel does not say. Bytes.
const MEMORY_UNKNOWN: u64 = 4 << 30;

pub struct Machine {
    /// The CPUs that the process may run on, never none.
    pub cpus: Vec<usize>,
    /// How many CPUs' time the control group grants. `None`: no limit.
    pub quota: Option<f64>,
    /// The machine's, or what the control group grants of it. Bytes.
    pub memory: u64,
}

impl Machine {
    pub fn look() -> Machine {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let limits = Limits::read(Path::new(CGROUPS), &own);
        let memory = total_memory().unwrap_or(MEMORY_UNKNOWN);
        Machine {
            cpus: allowed_cpus(),
            quota: limits.cpus,
            memory: limits.memory.map_or(memory, |max| max.min(memory)),
        }
    }

    /// Cores worth running: more than the quota pays for would only be throttled.
    pub fn cores(&self) -> u16 {
        let paid = self.quota.map_or(usize::MAX, |cpus| cpus.ceil().max(1.0) as usize);
        self.cpus.len().min(paid).min(usize::from(u16::MAX)) as u16
    }

    /// The CPUs to pin cores to. None under a quota, which says how much time and not where: its containers would all
    /// take the first CPUs.
    pub fn own_cpus(self) -> Vec<usize> {
        if self.quota.is_some_and(|cpus| cpus < self.cpus.len() as f64) { Vec::new() } else { self.cpus }
    }
}

fn allowed_cpus() -> Vec<usize> {
    let cpus: Vec<usize> = core_affinity::get_core_ids().into_iter().flatten().map(|core| core.id).collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

fn total_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The strictest limits of a control group and those above it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Limits {
    memory: Option<u64>,
    cpus: Option<f64>,
}

impl Limits {
    /// `own` is the text of `/proc/self/cgroup`: `hierarchy:controllers:path` a line, version 2 without controllers. In a
    /// container the path may be the host's, and what is mounted is the group itself: what does not exist limits nothing.
    fn read(mounted: &Path, own: &str) -> Limits {
        let mut limits = Limits::default();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let has = |name| controllers.split(',').any(|controller| controller == name);
            let path = Path::new(path.trim_start_matches('/'));
            for group in path.ancestors() {
                if controllers.is_empty() {
                    limits.tighten(number(&mounted.join(group).join("memory.max")), None);
                    limits.tighten(None, quota_v2(&mounted.join(group).join("cpu.max")));
                }
                if has("memory") {
                    limits.tighten(number(&mounted.join("memory").join(group).join("memory.limit_in_bytes")), None);
                }
                if has("cpu") {
                    limits.tighten(None, quota_v1(&mounted.join("cpu").join(group)));
                }
            }
        }
        limits
    }

    fn tighten(&mut self, memory: Option<u64>, cpus: Option<f64>) {
        self.memory = self.memory.into_iter().chain(memory).min();
        self.cpus = self.cpus.into_iter().chain(cpus).min_by(f64::total_cmp);
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `QUOTA PERIOD`, or `max PERIOD`.
fn quota_v2(path: &Path) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().ok());
    part(numbers.next()??, numbers.next()??)
}

fn quota_v1(group: &Path) -> Option<f64> {
    // -1, which is no number here, is no limit.
    part(number(&group.join("cpu.cfs_quota_us"))? as f64, number(&group.join("cpu.cfs_period_us"))? as f64)
}

fn part(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_strictest_group_counts() {
        let root = std::env::temp_dir().join(format!("heddle-cgroup-{}", std::process::id()));
        let (two, one) = (root.join("two"), root.join("one"));
        write(
            &two,
            &[
                ("memory.max", "max\n"),
                ("cpu.max", "max 100000\n"),
                ("a/memory.max", "1073741824\n"),
                ("a/cpu.max", "150000 100000\n"),
                ("a/b/memory.max", "2147483648\n"),
                ("a/b/cpu.max", "400000 100000\n"),
            ],
        );
        let limits = Limits { memory: Some(1 << 30), cpus: Some(1.5) };
        assert_eq!(Limits::read(&two, "0::/a/b\n"), limits);
        assert_eq!(Limits::read(&two, "0::/\n"), Limits::default());
        // A container that sees the host's path and its own group.
        write(&two, &[("memory.max", "536870912\n")]);
        assert_eq!(Limits::read(&two, "0::/host/of/it\n").memory, Some(512 << 20));

        write(
            &one,
            &[
                ("memory/c/memory.limit_in_bytes", "268435456\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("cpu/c/cpu.cfs_quota_us", "200000\n"),
                ("cpu/c/cpu.cfs_period_us", "100000\n"),
                ("cpu/cpu.cfs_quota_us", "-1\n"),
                ("cpu/cpu.cfs_period_us", "100000\n"),
            ],
        );
        let limits = Limits { memory: Some(256 << 20), cpus: Some(2.0) };
        assert_eq!(Limits::read(&one, "5:cpu,cpuacct:/c\n4:memory:/c\n1:name=systemd:/c\n"), limits);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_quota_pays_for_cores_and_pins_none() {
        let machine = |quota| Machine { cpus: vec![2, 3, 5, 7], quota, memory: 0 };
        assert_eq!((machine(None).cores(), machine(None).own_cpus().len()), (4, 4));
        assert_eq!((machine(Some(1.5)).cores(), machine(Some(1.5)).own_cpus().len()), (2, 0));
        assert_eq!(machine(Some(0.1)).cores(), 1);
        assert_eq!((machine(Some(9.0)).cores(), machine(Some(9.0)).own_cpus().len()), (4, 4));
    }
}
