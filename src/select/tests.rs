use super::*;
use crate::job::tests::load;

const SILVER: &str = "topic = \"NAME\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n";
const SQL: &str = "SELECT 1 AS n";

/// ```text
/// orders ─▶ daily ─▶ weekly ─▶ report
/// customers ─▶ newcomers ─▶ report     customers ─▶ daily     alone
/// ```
fn jobs() -> Jobs {
    let gold = [
        ("daily", "'silver.orders', 'silver.customers'", "'fast'"),
        ("weekly", "'gold.daily'", ""),
        ("report", "'gold.weekly', 'gold.newcomers'", "'mail/daily'"),
        ("newcomers", "'silver.customers'", "'fast', 'people'"),
        ("alone", "", "'slow'"),
    ];
    let mut files = Vec::new();
    for name in ["orders", "customers"] {
        let text = SILVER.replace("NAME", name);
        files.push((format!("silver/{name}.toml"), text));
    }
    for (name, depends_on, tags) in gold {
        let text = format!(
            "grain = 'table'\norder_by = ['n']\ndepends_on = [{depends_on}]\ntags = [{tags}]\n"
        );
        files.push((format!("gold/{name}.toml"), text));
        files.push((format!("gold/{name}.sql"), SQL.to_owned()));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    load(&files).unwrap()
}

fn words(text: &str) -> Vec<String> {
    match text {
        "" => vec![],
        text => vec![text.to_owned()],
    }
}

#[test]
fn every_form_selects_the_jobs_that_it_says() {
    let jobs = jobs();
    for (select, exclude, expected) in [
        ("", "", "alone daily newcomers weekly report"),
        ("daily", "", "daily"),
        ("gold.daily", "", "daily"),
        ("report daily", "", "daily report"),
        ("daily+", "", "daily weekly report"),
        ("daily+1", "", "daily weekly"),
        ("+report", "", "daily newcomers weekly report"),
        ("1+report", "", "newcomers weekly report"),
        ("+weekly+", "", "daily weekly report"),
        ("1+weekly+1", "", "daily weekly report"),
        // silver is no target of a build, but what lies around it is
        ("silver.orders+", "", "daily weekly report"),
        ("orders+1", "", "daily"),
        ("silver.*+1", "", "daily newcomers"),
        ("tag:fast", "", "daily newcomers"),
        ("tag:mail/*", "", "report"),
        ("tag:fast+", "", "daily newcomers weekly report"),
        ("+tag:mail/daily", "", "daily newcomers weekly report"),
        ("*ly", "", "daily weekly"),
        ("*a*", "", "alone daily"),
        ("dail?", "", "daily"),
        // a comma asks for both
        ("tag:fast,tag:people", "", "newcomers"),
        ("orders+,newcomers+", "", "report"),
        ("orders+,newcomers+ alone", "", "alone report"),
        ("", "tag:fast", "alone weekly report"),
        ("", "orders+", "alone newcomers"),
        ("+report", "daily weekly", "newcomers report"),
        ("silver.orders+", "report", "daily weekly"),
    ] {
        let found = gold(&jobs, &words(select), &words(exclude));
        let found = found.unwrap_or_else(|error| panic!("{select} − {exclude}: {error}"));
        let names: Vec<_> = found.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names.join(" "), expected, "{select} − {exclude}");
    }
}

#[test]
fn a_flag_given_twice_is_a_union() {
    let select = [words("daily"), words("alone")].concat();
    assert_eq!(gold(&jobs(), &select, &[]).unwrap().len(), 2);
}

#[test]
fn what_selects_nothing_is_refused_with_what_to_write_instead() {
    let jobs = jobs();
    for (select, exclude, expected) in [
        (
            "dayly",
            "",
            "there is no gold job `dayly` / did you mean `daily`?",
        ),
        (
            "daily +weekyl",
            "",
            "there is no gold job `weekyl` / did you mean `weekly`?",
        ),
        (
            "silver.order",
            "",
            "there is no silver job `order` / did you mean `orders`?",
        ),
        ("nothing*", "", "there is no gold job `nothing*`"),
        (
            "daily",
            "repotr",
            "there is no gold job `repotr` / did you mean `report`?",
        ),
        (
            "tag:fats",
            "",
            "no gold job has the tag `fats` / did you mean `tag:fast`?",
        ),
        (
            "tag:sometimes",
            "",
            "tags are: fast, mail/daily, people, slow",
        ),
        (
            "tags:fast",
            "",
            "`tags:` is no way to select jobs, only `tag:` is, did you mean `tag`?",
        ),
        ("path:jobs", "", "`path:` is no way to select jobs"),
        ("daily,", "", "it names no job"),
        ("+", "", "it names no job"),
        (
            "daily+99999999999999999999",
            "",
            "number of steps is too large",
        ),
        (
            "silver.orders",
            "",
            "silver jobs only, and no gold job / what is built from silver is downstream of it: `silver.orders+`",
        ),
        ("daily,alone", "", "`daily,alone` selects no job"),
        ("", "*", "--exclude leaves no gold job"),
    ] {
        let error = gold(&jobs, &words(select), &words(exclude)).unwrap_err();
        let said = format!("{error} / {}", error.advice());
        assert!(said.contains(expected), "{select} − {exclude}: {said}");
        assert_eq!(error.kind().policy().exit, 2);
    }
}
