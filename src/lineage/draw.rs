//! The graph of jobs as Graphviz and Mermaid read it: topics, silver, gold, and what is read without being declared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// From what to what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: String,
    pub to: String,
    /// a declared one is drawn through, one that only the SQL knows is broken
    pub is_declared: bool,
}

pub fn dot(edges: &[Edge]) -> String {
    let mut text = String::from("digraph bullion {\n    rankdir = LR;\n    node [shape = box];\n");
    for edge in edges {
        let style = if edge.is_declared {
            ""
        } else {
            " [style = dashed]"
        };
        let (from, to) = (quoted(&edge.from), quoted(&edge.to));
        let _ = writeln!(text, "    {from} -> {to}{style};");
    }
    text.push('}');
    text
}

pub fn mermaid(edges: &[Edge]) -> String {
    let mut text = String::from("flowchart LR");
    // Mermaid's own names are short on letters
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for name in edges.iter().flat_map(|edge| [&edge.from, &edge.to]) {
        let next = names.len();
        if let std::collections::btree_map::Entry::Vacant(free) = names.entry(name) {
            free.insert(next);
            let _ = write!(text, "\n    n{next}[{}]", quoted(name));
        }
    }
    let number = |name: &String| names.get(name.as_str()).copied().unwrap_or_default();
    for edge in edges {
        let arrow = if edge.is_declared { "-->" } else { "-.->" };
        let (from, to) = (number(&edge.from), number(&edge.to));
        let _ = write!(text, "\n    n{from} {arrow} n{to}");
    }
    text
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges() -> Vec<Edge> {
        let edge = |from: &str, to: &str, is_declared| Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            is_declared,
        };
        vec![
            edge("topic shop.public.orders", "silver.orders", true),
            edge("silver.orders", "gold.daily", false),
        ]
    }

    #[test]
    fn a_graph_is_drawn_with_what_is_not_declared_broken() {
        let text = dot(&edges());
        assert!(
            text.contains("    \"topic shop.public.orders\" -> \"silver.orders\";\n"),
            "{text}"
        );
        assert!(
            text.contains("-> \"gold.daily\" [style = dashed];\n}"),
            "{text}"
        );
        assert_eq!(
            mermaid(&edges()),
            "flowchart LR\n    n0[\"topic shop.public.orders\"]\n    n1[\"silver.orders\"]\n    n2[\"gold.daily\"]\n    n0 --> n1\n    n1 -.-> n2"
        );
    }
}
