//! Reads the text of ClickHouse's `EXPLAIN QUERY TREE`: which tables a query reads, and from which of their columns each of its
//! own columns comes. Pure.
//!
//! ```text
//! QUERY id: 0
//!   PROJECTION COLUMNS
//!     day Date
//!   PROJECTION
//!     LIST id: 1, nodes: 1
//!       FUNCTION id: 2, function_name: toDate, …
//!         …   COLUMN id: 4, column_name: ordered_at, result_type: …, source_id: 5
//!   JOIN TREE
//!     TABLE id: 5, alias: __table1, table_name: silver.orders
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A column of a table, as ClickHouse names both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub table: String,
    pub column: String,
}

/// A column that the query gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub name: String,
    /// what its value is computed from; nothing for a constant or `count()`
    pub origins: BTreeSet<Origin>,
    /// some of what it is computed from stands in a way that is not understood here
    pub is_partial: bool,
}

/// The tree as lines that know their children.
pub struct Tree<'t> {
    nodes: Vec<Node<'t>>,
    by_id: HashMap<&'t str, usize>,
}

struct Node<'t> {
    text: &'t str,
    children: Vec<usize>,
}

/// ClickHouse's own table of one row, where a query has no FROM.
const NOTHING: &str = "system.one";

impl<'t> Tree<'t> {
    pub fn parse(text: &'t str) -> Tree<'t> {
        let mut tree = Tree {
            nodes: Vec::new(),
            by_id: HashMap::new(),
        };
        let mut path: Vec<(usize, usize)> = Vec::new();
        for line in text.lines() {
            let bare = line.trim();
            if bare.is_empty() {
                continue;
            }
            let depth = line.len() - line.trim_start().len();
            path.retain(|(above, _)| *above < depth);
            let index = tree.nodes.len();
            if let Some((_, parent)) = path.last()
                && let Some(parent) = tree.nodes.get_mut(*parent)
            {
                parent.children.push(index);
            }
            path.push((depth, index));
            let node = Node {
                text: bare,
                children: Vec::new(),
            };
            // what occurs again is printed again
            if let Some(id) = node.id() {
                tree.by_id.entry(id).or_insert(index);
            }
            tree.nodes.push(node);
        }
        tree
    }

    /// Every table that is read, with the columns of it that are used anywhere: to filter and to join, too.
    pub fn tables(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in &self.nodes {
            if node.is_table() && !node.is_temporary() {
                tables.entry(node.table()).or_default();
            }
            if let (Some(table), Some(column)) = (self.table_of(node), node.column()) {
                tables.entry(table).or_default().insert(column.to_owned());
            }
        }
        tables.remove(NOTHING);
        tables
    }

    /// The columns of the whole query, in their order.
    pub fn columns(&self) -> Vec<Given> {
        let queries = self.queries_of(0);
        let Some(first) = queries.first() else {
            return Vec::new();
        };
        let expressions = self.projection(*first);
        let lines = self.labelled(*first, "PROJECTION COLUMNS");
        let named = lines.iter().zip(expressions).enumerate();
        let given = |(at, (line, expression)): (usize, (&usize, usize))| {
            let mut walk = Walk::default();
            for query in &queries {
                match self.projection(*query).get(at) {
                    Some(expression) => self.walk(*expression, &mut walk),
                    None => walk.is_partial = true,
                }
            }
            Given {
                name: self.name_of(*line, expression),
                origins: walk.origins,
                is_partial: walk.is_partial,
            }
        };
        named.map(given).collect()
    }

    /// `day Date` without the type, which its expression tells.
    fn name_of(&self, line: usize, expression: usize) -> String {
        let text = self.node(line).map_or("", |node| node.text);
        let kind = self.node(expression).and_then(Node::value_type);
        let name = kind.and_then(|kind| text.strip_suffix(kind)?.strip_suffix(' '));
        let name = name.or_else(|| text.split(' ').next());
        name.unwrap_or(text).to_owned()
    }

    fn walk(&self, index: usize, walk: &mut Walk) {
        let Some(node) = self.node(index) else {
            return;
        };
        match node.kind() {
            // a subquery that gives a value or a set: what it gives, not what it filters by
            "QUERY" | "UNION" => {
                for query in self.queries_of(index) {
                    self.walk_all(&self.projection(query), walk);
                }
            }
            "COLUMN" => {
                if walk.seen.insert(index) {
                    self.follow(node, walk);
                }
            }
            _ => self.walk_all(&node.children, walk),
        }
    }

    fn walk_all(&self, indices: &[usize], walk: &mut Walk) {
        for index in indices {
            self.walk(*index, walk);
        }
    }

    /// From a column to what it is in the place that it is taken from.
    fn follow(&self, column: &Node<'_>, walk: &mut Walk) {
        let source = column.attribute("source_id");
        let source = source.and_then(|id| self.by_id.get(id).copied());
        let (Some(source), Some(name)) = (source, column.column()) else {
            walk.is_partial = true;
            return;
        };
        if let Some(table) = self.table_of(column) {
            let column = name.to_owned();
            walk.origins.insert(Origin { table, column });
            return;
        }
        match self.node(source).map_or("", Node::kind) {
            "QUERY" | "UNION" => {
                let queries = self.queries_of(source);
                let first = queries.first().copied().unwrap_or(source);
                let Some(at) = self.position(first, column) else {
                    walk.is_partial = true;
                    return;
                };
                for query in queries {
                    match self.projection(query).get(at) {
                        Some(expression) => self.walk(*expression, walk),
                        None => walk.is_partial = true,
                    }
                }
            }
            // its arguments stand beside it
            "LAMBDA" => {}
            "ARRAY_JOIN" | "JOIN" => match self.defined(source, name) {
                Some(expression) => self.walk_all(&expression, walk),
                None => walk.is_partial = true,
            },
            _ => walk.is_partial = true,
        }
    }

    /// What a column is that ARRAY JOIN, or JOIN by USING, makes.
    fn defined(&self, join: usize, name: &str) -> Option<Vec<usize>> {
        let label = |index: &usize| {
            let text = self.node(*index).map_or("", |node| node.text);
            matches!(text, "JOIN EXPRESSIONS" | "JOIN EXPRESSION")
        };
        let labels = self.node(join)?.children.iter().copied().filter(label);
        let lists = labels.flat_map(|label| self.children(label));
        let mut columns = lists.flat_map(|list| self.children(list));
        let is_it = |index: &usize| self.node(*index).and_then(Node::column) == Some(name);
        Some(self.labelled(columns.find(is_it)?, "EXPRESSION"))
    }

    /// At which place a query gives the column that a node asks it for.
    fn position(&self, query: usize, column: &Node<'_>) -> Option<usize> {
        let name = column.column()?;
        let lines = self.labelled(query, "PROJECTION COLUMNS");
        let text = |index: &usize| self.node(*index).map_or("", |node| node.text);
        let exact = format!("{name} {}", column.value_type().unwrap_or_default());
        let mut found = lines.iter().map(text);
        // a JOIN may have made its type Nullable
        let begins = |line: &str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        };
        found
            .clone()
            .position(|line| line == exact)
            .or_else(|| found.position(begins))
    }

    /// A query itself, or those of a UNION, however deep.
    fn queries_of(&self, index: usize) -> Vec<usize> {
        match self.node(index).map_or("", Node::kind) {
            "QUERY" => vec![index],
            "UNION" => {
                let lists = self.labelled(index, "QUERIES");
                let parts = lists.into_iter().flat_map(|list| self.children(list));
                parts.flat_map(|part| self.queries_of(part)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn projection(&self, query: usize) -> Vec<usize> {
        let lists = self.labelled(query, "PROJECTION");
        lists
            .into_iter()
            .flat_map(|list| self.children(list))
            .collect()
    }

    /// What stands under a heading of a node.
    fn labelled(&self, index: usize, label: &str) -> Vec<usize> {
        let children = self.children(index).into_iter();
        let mut found =
            children.filter(|child| self.node(*child).is_some_and(|it| it.text == label));
        found
            .next()
            .map(|label| self.children(label))
            .unwrap_or_default()
    }

    fn children(&self, index: usize) -> Vec<usize> {
        self.node(index)
            .map(|node| node.children.clone())
            .unwrap_or_default()
    }

    fn table_of(&self, column: &Node<'_>) -> Option<String> {
        let source = self.by_id.get(column.attribute("source_id")?)?;
        let source = self.node(*source)?;
        (source.is_table() && !source.is_temporary()).then(|| source.table())
    }

    fn node(&self, index: usize) -> Option<&Node<'t>> {
        self.nodes.get(index)
    }
}

#[derive(Default)]
struct Walk {
    origins: BTreeSet<Origin>,
    is_partial: bool,
    seen: HashSet<usize>,
}

impl<'t> Node<'t> {
    /// Headings, and the names of a projection, are of no kind.
    fn kind(&self) -> &'t str {
        self.text.split_once(" id: ").map_or("", |(kind, _)| kind)
    }

    fn id(&self) -> Option<&'t str> {
        let (_, rest) = self.text.split_once(" id: ")?;
        rest.split(", ").next()
    }

    /// `…, name: value, …`, of values that hold no comma.
    fn attribute(&self, name: &str) -> Option<&'t str> {
        let (_, rest) = self.text.split_once(&format!("{name}: "))?;
        rest.split(", ").next()
    }

    fn is_table(&self) -> bool {
        matches!(self.kind(), "TABLE" | "TABLE_FUNCTION")
    }

    /// What a recursive query reads of itself.
    fn is_temporary(&self) -> bool {
        self.attribute("temporary_table_name").is_some()
    }

    /// Names may hold commas.
    fn column(&self) -> Option<&'t str> {
        let (_, rest) = self.text.split_once("column_name: ")?;
        let (name, _) = rest.split_once(", result_type: ")?;
        Some(name)
    }

    fn value_type(&self) -> Option<&'t str> {
        let (_, rest) = self
            .text
            .split_once("constant_value_type: ")
            .or_else(|| self.text.split_once("result_type: "))?;
        Some(rest.split(", source_id: ").next().unwrap_or(rest))
    }

    /// A table function stands as `numbers()`.
    fn table(&self) -> String {
        match self.attribute("table_function_name") {
            Some(name) => format!("{name}()"),
            None => self.attribute("table_name").unwrap_or_default().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
