//! The directory tree: what exists now, what would certainly exist after a crash, and the changes in between.

use std::collections::BTreeMap;

use heddle_border::Fault;

use crate::dice::Dice;
use crate::inode::Mercy;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Node {
    Dir,
    File(u64),
}

#[derive(Clone, Debug)]
enum Change {
    Add { path: String, node: Node },
    Remove { path: String },
    Rename { from: String, to: String },
}

/// Paths use `/` between their parts; the root is the empty path and always there.
#[derive(Clone, Default)]
pub struct Names {
    now: BTreeMap<String, Node>,
    kept: BTreeMap<String, Node>,
    changes: Vec<Change>,
}

impl Names {
    pub fn get(&self, path: &str) -> Option<Node> {
        if path.is_empty() { Some(Node::Dir) } else { self.now.get(path).copied() }
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, Node)> {
        self.now.iter().map(|(path, node)| (path.as_str(), *node))
    }

    /// The direct children of a directory, by their last part.
    pub fn children<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (&'a str, Node)> {
        self.now.iter().filter(move |(path, _)| parent(path) == dir).map(|(path, node)| (last(path), *node))
    }

    /// Every file that some crash could still bring up.
    pub fn files(&self) -> impl Iterator<Item = u64> {
        let added = self.changes.iter().filter_map(|change| match change {
            Change::Add { node, .. } => Some(*node),
            Change::Remove { .. } | Change::Rename { .. } => None,
        });
        self.now.values().chain(self.kept.values()).copied().chain(added).filter_map(|node| match node {
            Node::File(inode) => Some(inode),
            Node::Dir => None,
        })
    }

    pub fn add(&mut self, path: &str, node: Node) -> Result<(), Fault> {
        if self.get(path).is_some() {
            return Err(Fault::AlreadyExists);
        }
        if self.get(parent(path)) != Some(Node::Dir) {
            return Err(Fault::NotFound);
        }
        self.change(Change::Add { path: path.to_owned(), node });
        Ok(())
    }

    pub fn remove(&mut self, path: &str) -> Result<(), Fault> {
        match self.get(path) {
            Some(Node::File(_)) => self.change(Change::Remove { path: path.to_owned() }),
            Some(Node::Dir) => return Err(Fault::Io(EISDIR)),
            None => return Err(Fault::NotFound),
        }
        Ok(())
    }

    /// Remove a path and everything below it; nothing happens if it does not exist.
    pub fn remove_tree(&mut self, path: &str) {
        assert!(!path.is_empty(), "the data directory itself is never removed");
        let below = format!("{path}/");
        let paths = self.now.keys().filter(|other| *other == path || other.starts_with(&below));
        let paths: Vec<String> = paths.rev().cloned().collect();
        for path in paths {
            self.change(Change::Remove { path });
        }
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Fault> {
        if self.get(from).is_none() || self.get(parent(to)) != Some(Node::Dir) {
            return Err(Fault::NotFound);
        }
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.changes.push(change);
    }

    /// The entries of `dir`, as they are, survive.
    pub fn sync(&mut self, dir: &str) -> Result<(), Fault> {
        if self.get(dir) != Some(Node::Dir) {
            return Err(Fault::NotFound);
        }
        let kept = &mut self.kept;
        self.changes.retain(|change| {
            let synced = change.touches(dir);
            if synced {
                apply(kept, change);
            }
            !synced
        });
        Ok(())
    }

    /// The power fails: synced entries stay, each later change happened or did not. What hangs in no directory is gone.
    pub fn crash(&mut self, mercy: Mercy, dice: &mut Dice) {
        for change in std::mem::take(&mut self.changes) {
            if mercy.keeps(dice) {
                apply(&mut self.kept, &change);
            }
        }
        let all = self.kept.clone();
        self.kept.retain(|path, _| hangs(&all, path));
        self.now = self.kept.clone();
    }
}

const EISDIR: i32 = 21;

impl Change {
    fn touches(&self, dir: &str) -> bool {
        match self {
            Change::Add { path, .. } | Change::Remove { path } => parent(path) == dir,
            Change::Rename { from, to } => parent(from) == dir || parent(to) == dir,
        }
    }
}

fn apply(names: &mut BTreeMap<String, Node>, change: &Change) {
    match change {
        Change::Add { path, node } => {
            names.insert(path.clone(), *node);
        }
        Change::Remove { path } => {
            names.remove(path);
        }
        Change::Rename { from, to } => {
            let below = format!("{from}/");
            let paths = names.keys().filter(|path| *path == from || path.starts_with(&below));
            let paths: Vec<String> = paths.cloned().collect();
            for path in paths {
                let node = names.remove(&path).expect("it was listed");
                names.insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
    }
}

fn hangs(names: &BTreeMap<String, Node>, path: &str) -> bool {
    let mut dir = parent(path);
    while !dir.is_empty() {
        if names.get(dir) != Some(&Node::Dir) {
            return false;
        }
        dir = parent(dir);
    }
    true
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
