//! Which jobs are meant: dbt's grammar of `--select` and `--exclude`, over the graph that `depends_on` makes of silver and gold.
//!
//! ```text
//! selection   word word …        all of them together; a flag that is given twice is the same
//! word        term,term,…        what every term selects
//! term        [[N]+] what [+[N]] and what it depends on, N steps far; and what depends on it
//! what        name · silver.name · gold.name · tag:word, with * and ? for any letters and any one
//! ```

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::fault::{nearest, suggestion};
use crate::job::{Dependency, GoldJob, Jobs, in_dependency_order, unknown_job};

/// What stands in a graph of jobs: one of them, by its layer and name.
pub type Node = Dependency;

/// The gold jobs of a selection, each after those it depends on; all of them where nothing is selected.
pub fn gold(jobs: &Jobs, select: &[String], exclude: &[String]) -> Result<Vec<GoldJob>> {
    let selected = nodes(jobs, select, exclude)?;
    let ordered = in_dependency_order(&jobs.gold).into_iter();
    let chosen: Vec<GoldJob> = ordered
        .filter(|job| selected.contains(&Node::Gold(job.name.clone())))
        .cloned()
        .collect();
    if chosen.is_empty() && !jobs.gold.is_empty() {
        return Err(nothing(select, exclude, &selected));
    }
    Ok(chosen)
}

/// Everything of a selection, silver too; every gold job where nothing is selected.
pub fn nodes(jobs: &Jobs, select: &[String], exclude: &[String]) -> Result<BTreeSet<Node>> {
    let graph = Graph { jobs };
    let mut selected = match select {
        [] => graph.every_gold(),
        _ => graph.union(select)?,
    };
    for node in graph.union(exclude)? {
        selected.remove(&node);
    }
    Ok(selected)
}

fn nothing(select: &[String], exclude: &[String], selected: &BTreeSet<Node>) -> Error {
    let words = select.join(" ");
    match selected.first() {
        Some(silver) => Error::new(
            Kind::Usage,
            format!("`{words}` selects silver jobs only, and no gold job"),
        )
        .advise(format!(
            "what is built from silver is downstream of it: `{silver}+`"
        )),
        None if exclude.is_empty() => Error::new(Kind::Usage, format!("`{words}` selects no job"))
            .advise(
                "a comma asks for jobs that both of its sides select; a space for those of either",
            ),
        None => Error::new(Kind::Usage, "--exclude leaves no gold job"),
    }
}

struct Graph<'j> {
    jobs: &'j Jobs,
}

impl Graph<'_> {
    fn every_gold(&self) -> BTreeSet<Node> {
        let names = self.jobs.gold.iter().map(|job| job.name.clone());
        names.map(Node::Gold).collect()
    }

    fn union(&self, words: &[String]) -> Result<BTreeSet<Node>> {
        let mut found = BTreeSet::new();
        for word in words.iter().flat_map(|words| words.split_whitespace()) {
            found.extend(self.intersection(word)?);
        }
        Ok(found)
    }

    fn intersection(&self, word: &str) -> Result<BTreeSet<Node>> {
        let mut common: Option<BTreeSet<Node>> = None;
        for term in word.split(',') {
            let found = self.term(&Term::parse(term)?)?;
            common = Some(match common {
                Some(before) => before.intersection(&found).cloned().collect(),
                None => found,
            });
        }
        Ok(common.unwrap_or_default())
    }

    fn term(&self, term: &Term<'_>) -> Result<BTreeSet<Node>> {
        let start = match term.what {
            What::Tag(pattern) => self.tagged(pattern)?,
            What::Job { layer, pattern } => self.named(layer, pattern)?,
        };
        let mut found = start.clone();
        found.extend(walk(&start, term.upstream, |node| self.parents(node)));
        found.extend(walk(&start, term.downstream, |node| self.children(node)));
        Ok(found)
    }

    fn tagged(&self, pattern: &str) -> Result<BTreeSet<Node>> {
        let with = |job: &&GoldJob| job.tags.iter().any(|tag| matches(pattern, tag));
        let tagged = self.jobs.gold.iter().filter(with);
        let found: BTreeSet<Node> = tagged.map(|job| Node::Gold(job.name.clone())).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let known = self.jobs.gold.iter().flat_map(|job| &job.tags);
        let known: BTreeSet<&str> = known.map(String::as_str).collect();
        let message = format!("no gold job has the tag `{pattern}`");
        let error = Error::new(Kind::NotFound, message);
        Err(match nearest(pattern, known.iter().copied()) {
            Some(near) => error.advise(format!("did you mean `tag:{near}`?")),
            None if known.is_empty() => {
                error.advise("write one into a job's file: tags = [\"daily\"]")
            }
            None => error.advise(format!(
                "tags are: {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            )),
        })
    }

    /// A name without its layer is a gold job's, or else a silver job's.
    fn named(&self, layer: Option<Layer>, pattern: &str) -> Result<BTreeSet<Node>> {
        let gold = || self.jobs.gold.iter().map(|job| job.name.as_str());
        let silver = || self.jobs.silver.iter().map(|job| job.name.as_str());
        let in_gold = || -> BTreeSet<Node> {
            let names = gold().filter(|name| matches(pattern, name));
            names.map(|name| Node::Gold(name.to_owned())).collect()
        };
        let in_silver = || -> BTreeSet<Node> {
            let names = silver().filter(|name| matches(pattern, name));
            names.map(|name| Node::Silver(name.to_owned())).collect()
        };
        let found = match layer {
            Some(Layer::Gold) => in_gold(),
            Some(Layer::Silver) => in_silver(),
            None => match in_gold() {
                found if found.is_empty() => in_silver(),
                found => found,
            },
        };
        if !found.is_empty() {
            return Ok(found);
        }
        Err(match layer {
            Some(Layer::Silver) => unknown_job("silver", pattern, silver()),
            None if nearest(pattern, gold()).is_none() && nearest(pattern, silver()).is_some() => {
                unknown_job("gold", pattern, silver())
            }
            _ => unknown_job("gold", pattern, gold()),
        })
    }

    fn parents(&self, node: &Node) -> Vec<Node> {
        let Node::Gold(name) = node else {
            return Vec::new();
        };
        let job = self.jobs.gold.iter().find(|job| job.name == *name);
        job.map_or_else(Vec::new, |job| job.depends_on.clone())
    }

    fn children(&self, node: &Node) -> Vec<Node> {
        let jobs = self.jobs.gold.iter();
        let children = jobs.filter(|job| job.depends_on.contains(node));
        children.map(|job| Node::Gold(job.name.clone())).collect()
    }
}

/// What lies within so many steps of the nodes.
fn walk(from: &BTreeSet<Node>, steps: usize, next: impl Fn(&Node) -> Vec<Node>) -> BTreeSet<Node> {
    let mut found = BTreeSet::new();
    let mut edge: Vec<Node> = from.iter().cloned().collect();
    for _ in 0..steps {
        edge = edge.iter().flat_map(&next).collect();
        edge.retain(|node| found.insert(node.clone()));
        if edge.is_empty() {
            break;
        }
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Silver,
    Gold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'t> {
    Job {
        layer: Option<Layer>,
        pattern: &'t str,
    },
    Tag(&'t str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term<'t> {
    /// steps; none is 0, all of them `usize::MAX`
    upstream: usize,
    what: What<'t>,
    downstream: usize,
}

impl<'t> Term<'t> {
    fn parse(text: &'t str) -> Result<Term<'t>> {
        let (upstream, rest) = match text.split_once('+') {
            Some((steps, rest)) if is_number(steps) => (number(text, steps)?, rest),
            _ => (0, text),
        };
        let (rest, downstream) = match rest.rsplit_once('+') {
            Some((rest, steps)) if is_number(steps) => (rest, number(text, steps)?),
            _ => (rest, 0),
        };
        Ok(Term {
            upstream,
            what: What::parse(text, rest)?,
            downstream,
        })
    }
}

/// Digits, or nothing at all.
fn is_number(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit())
}

/// How many steps a `+` goes: without a number as far as there are any.
fn number(term: &str, digits: &str) -> Result<usize> {
    if digits.is_empty() {
        return Ok(usize::MAX);
    }
    digits
        .parse()
        .map_err(|_| malformed(term, "its number of steps is too large"))
}

impl<'t> What<'t> {
    fn parse(term: &str, text: &'t str) -> Result<What<'t>> {
        if let Some((method, pattern)) = text.split_once(':') {
            if method != "tag" {
                let near = suggestion(method, ["tag"]);
                let reason = format!("`{method}:` is no way to select jobs, only `tag:` is{near}");
                return Err(malformed(term, &reason));
            }
            return Ok(What::Tag(pattern));
        }
        let (layer, pattern) = match text.split_once('.') {
            Some(("silver", name)) => (Some(Layer::Silver), name),
            Some(("gold", name)) => (Some(Layer::Gold), name),
            _ => (None, text),
        };
        if pattern.is_empty() {
            return Err(malformed(term, "it names no job"));
        }
        Ok(What::Job { layer, pattern })
    }
}

fn malformed(term: &str, reason: &str) -> Error {
    Error::new(Kind::Usage, format!("cannot select by `{term}`: {reason}"))
        .advise("such as orders_by_day, +orders_by_day, silver.orders+, 1+orders_by_day, tag:daily, or tag:daily,silver.orders+")
}

/// `*` stands for any letters, `?` for any one.
fn matches(pattern: &str, name: &str) -> bool {
    let mut signs = pattern.chars();
    let Some(first) = signs.next() else {
        return name.is_empty();
    };
    let rest = signs.as_str();
    let mut letters = name.chars();
    match (first, letters.next()) {
        ('*', letter) => {
            matches(rest, name) || (letter.is_some() && matches(pattern, letters.as_str()))
        }
        ('?', Some(_)) => matches(rest, letters.as_str()),
        (sign, letter) => letter == Some(sign) && matches(rest, letters.as_str()),
    }
}

#[cfg(test)]
mod tests;
