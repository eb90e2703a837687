#include "app/simulate/outcome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json_writer.hpp"

namespace bavn::app::simulate {

namespace {

constexpr std::string_view kRank[] = {"silent", "noticed", "suspected", "warned"};

int rank(std::string_view what) {
  for (int i = 0; i < 4; ++i)
    if (kRank[i] == what) return i;
  return 0;
}

bool holds(double got, const Expectation& e) {
  if (e.relation == "<=") return got <= e.limit;
  if (e.relation == ">=") return got >= e.limit;
  if (e.relation == "<") return got < e.limit;
  if (e.relation == ">") return got > e.limit;
  return std::abs(got - e.limit) < 1e-9;
}

std::string number(double d) {
  if (d == std::floor(d) && std::abs(d) < 1e15) return fmt::format("{}", static_cast<std::int64_t>(d));
  return std::abs(d) < 0.01 ? fmt::format("{:.4f}", d)
         : std::abs(d) < 1  ? fmt::format("{:.3f}", d)
                            : fmt::format("{:.1f}", d);
}
std::string number(const std::optional<double>& d) {
  return d ? number(*d) : "-";
}

void member(JsonWriter& w, std::string_view key, const std::optional<double>& d) {
  w.key(key);
  if (!d) w.null();
  else if (*d == std::floor(*d) && std::abs(*d) < 1e15) w.value(static_cast<std::int64_t>(*d));
  else w.value(std::round(*d * 1e4) / 1e4);
}

}  // namespace

void judge(Outcome& o, const Scenario& s) {
  o.as_expected = true;
  for (auto& a : o.attacks) {
    if (a.wanted.empty() || a.wanted == "any") continue;
    if (a.wanted == "not_warned") a.as_wanted = a.got != "warned";
    else if (a.wanted == "silent") a.as_wanted = rank(a.got) < rank("suspected");  // nobody was shown anything
    else a.as_wanted = rank(a.got) >= rank(a.wanted);
    o.as_expected = o.as_expected && a.as_wanted;
  }
  o.expectations.clear();
  for (const auto& e : s.expect) {
    const auto got = o.get(e.figure);
    o.expectations.push_back({e, got, got && holds(*got, e)});
    o.as_expected = o.as_expected && o.expectations.back().met;
  }
}

Interval wilson(std::int64_t good, std::int64_t all) {
  if (all <= 0) return {};
  constexpr double z = 1.959964;
  const double n = static_cast<double>(all), p = static_cast<double>(good) / n;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
  return {std::max(0.0, middle - half), p, std::min(1.0, middle + half)};
}

std::string report_text(const Outcome& o, const Scenario& s) {
  std::string out = fmt::format("{}\n", o.scenario);
  if (!o.about.empty()) out += o.about + "\n";
  out += fmt::format(
      "\nseed {} · {} municipalities, {} with a node · {:.1f} h after {:.0f} quiet days · {:.1f} s of one core ({:.1f} "
      "s by the clock), {:.0f} "
      "MB\n",
      o.seed, o.municipalities, number(o.get("nodes")), o.simulated_hours, o.quiet_hours / 24, o.cpu_seconds,
      o.wall_seconds, o.megabytes);
  out += fmt::format(
      "{} facts read by nodes, of {} harmless mails in {} mail-outs, {} odd things people did\n", o.facts,
      o.benign_mails,
      [&] {
        std::uint64_t n = 0;
        for (const auto& [kind, k] : o.mail_outs) n += k;
        return n;
      }(),
      o.odd_events);
  if (!o.note.empty()) out += "not in this run: " + o.note + "\n";

  out += "\nLogs and how late they are\n";
  for (const auto& [name, x] : o.by_source)
    out += fmt::format(
        "  {:16} {:>4} municipalities  {:14} notices {:4}  first after {:>6} min  late by {:>6} min (median)\n", name,
        x.towns, x.late, x.notices, number(x.first_minutes), number(x.late_minutes));

  for (const auto& a : o.attacks) {
    out += fmt::format("\n{}{}\n", a.name, a.real ? "" : " (harmless)");
    out += fmt::format("  mails {}: {} to municipalities, {} outside; {} landed before the warning, {} after it\n",
                       a.mails, a.delivered, a.outside, a.delivered_before_warning,
                       a.delivered - a.delivered_before_warning);
    out += fmt::format(
        "  minutes from the first mail: to notice {}, to Message-IDs at a receiver {}, to suspicion {}, to warning "
        "{}{}\n",
        number(a.minutes_to_notice), number(a.minutes_to_message_ids), number(a.minutes_to_suspicion),
        number(a.minutes_to_warning), a.trigger.empty() ? "" : fmt::format(" (lit by {})", a.trigger));
    out += fmt::format("  taken out of mailboxes: {} by machine, {} by people, {} left\n", a.removed_by_machine,
                       a.removed_by_people, a.left);
    if (a.real)
      out += fmt::format(
          "  clicks {} ({} before the warning) of {} that would have been; {} accounts taken; {} reports\n"
          "  share of clicks made, over all mails: {:.1f} % (the model alone says {:.1f} % for these times)\n",
          a.clicks, a.clicks_before_warning, a.would_click, a.accounts_taken, a.reports, 100 * a.clicks_share,
          100 * a.share_model);
    if (!a.wanted.empty() && a.wanted != "any")
      out += fmt::format("  outcome {}, expected {}: {}\n", a.got, a.wanted, a.as_wanted ? "yes" : "NO");
    else out += fmt::format("  outcome {}\n", a.got);
  }

  if (!o.purges.empty()) {
    const bool again = std::any_of(o.purges.begin(), o.purges.end(), [](const auto& p) { return p.again.has_value(); });
    out += fmt::format(
        "\nPurge, notice by notice: mails that came from the sender, of them found in the own message trace, moved "
        "out, gone (people were faster), left in mailboxes{}\n  {:24} {:>7} {:>7} {:>7} {:>7} {:>7}{}  from\n",
        again ? "; then put back, in mailboxes after that, moved out again, left in mailboxes" : "", "", "came",
        "found", "moved", "gone", "left", again ? "  undone   there  redone    left" : "");
    PurgeOutcome sum;
    sum.again.emplace();
    const auto line = [&](std::string_view town, const PurgeOutcome& p, std::string_view from) {
      out += fmt::format("  {:24} {:7} {:7} {:7} {:7} {:7}", town, p.delivered, p.found, p.removed, p.gone, p.left);
      if (again && p.again)
        out += fmt::format(" {:7} {:7} {:7} {:7}", p.again->undone, p.again->there, p.again->redone, p.again->left);
      else if (again) out += fmt::format(" {:>7} {:>7} {:>7} {:>7}", "-", "-", "-", "-");
      out += fmt::format("  {}\n", from);
    };
    for (const auto& p : o.purges) {
      const std::string& trouble = p.again && !p.again->trouble.empty() ? p.again->trouble : p.left > 0 ? p.why : "";
      line(p.town, p, p.sender + (trouble.empty() ? "" : " (" + trouble + ")"));
      sum.delivered += p.delivered;
      sum.found += p.found;
      sum.removed += p.removed;
      sum.gone += p.gone;
      sum.left += p.left;
      if (!p.again) continue;
      sum.again->undone += p.again->undone;
      sum.again->there += p.again->there;
      sum.again->redone += p.again->redone;
      sum.again->left += p.again->left;
    }
    line("all", sum, fmt::format("{} notice{}", o.purges.size(), o.purges.size() == 1 ? "" : "s"));
  }

  if (o.real_case) {
    out += fmt::format("\nBeside the real case\n  {}\n  {:34} {:>12} {:>12}\n", o.real_case->text, "", "here",
                       "real case");
    for (const auto& [figure, real] : o.real_case->figures)
      out += fmt::format("  {:34} {:>12} {:>12}\n", figure, number(o.get(figure)), number(real));
  }

  out += "\nTriggers               about real  about harmless  attacks found  first after\n";
  for (const auto& [name, t] : o.by_trigger)
    out += fmt::format("  {:18} {:12} {:15} {:10} of {:<3} {:>6} min\n", name, t.about_real, t.about_harmless,
                       t.attacks_found, o.real_attacks, number(t.first_minutes));
  if (!o.candidates_by_cause.empty()) {
    out += "Candidates by cause:";
    for (const auto& [cause, n] : o.candidates_by_cause) out += fmt::format(" {} {},", cause, n);
    out.back() = '\n';
  }
  if (!o.refused.empty()) {
    out += "Refused at the hub:";
    for (const auto& [why, n] : o.refused) out += fmt::format(" {} {},", why, n);
    out.back() = '\n';
  }
  for (const auto& f : o.false_warnings) out += "FALSE WARNING: " + f + "\n";

  out += "\nFigures\n";
  for (const auto& [name, doc] : figures())
    if (const auto v = o.get(name)) out += fmt::format("  {:34} {:>12}   {}\n", name, number(*v), doc);
  if (!o.expectations.empty()) {
    out += "\nExpected\n";
    for (const auto& e : o.expectations)
      out += fmt::format("  {:34} {} {:<8} got {:<10} {}\n", e.expectation.figure, e.expectation.relation,
                         number(e.expectation.limit), number(e.got), e.met ? "yes" : "NO");
  }
  out += o.as_expected ? "\nIt ended as expected.\n" : "\nIt did NOT end as expected.\n";
  (void)s;
  return out;
}

std::string report_json(const Outcome& o, const Scenario& s) {
  std::string out;
  JsonWriter w(out);
  w.object().member("scenario", o.scenario).member("seed", o.seed).member("municipalities", o.municipalities);
  member(w, "nodes", o.get("nodes"));
  member(w, "simulated_hours", o.simulated_hours);
  // What everybody asks for first stands first, there or not.
  for (const auto& [name, doc] : figures())
    if (name != "nodes") member(w, name, o.get(name));
  w.key("by_trigger").object();
  for (const auto& [name, t] : o.by_trigger) {
    w.key(name)
        .object()
        .member("about_real", t.about_real)
        .member("about_harmless", t.about_harmless)
        .member("attacks_found", t.attacks_found);
    member(w, "first_minutes", t.first_minutes);
    w.end();
  }
  w.end();
  w.key("by_source").object();
  for (const auto& [name, x] : o.by_source) {
    w.key(name).object().member("municipalities", x.towns).member("late", x.late).member("notices", x.notices);
    member(w, "first_minutes", x.first_minutes);
    member(w, "late_minutes", x.late_minutes);
    w.end();
  }
  w.end();
  w.key("candidates_by_cause").object();
  for (const auto& [cause, n] : o.candidates_by_cause) w.member(cause, n);
  w.end();
  w.key("refused").object();
  for (const auto& [why, n] : o.refused) w.member(why, n);
  w.end();
  w.key("attacks").array();
  for (const auto& a : o.attacks) {
    w.object()
        .member("name", a.name)
        .member("real", a.real)
        .member("outcome", a.got)
        .member("expected", a.wanted)
        .member("as_expected", a.as_wanted);
    w.member("trigger", a.trigger);
    member(w, "minutes_to_notice", a.minutes_to_notice);
    member(w, "minutes_to_message_ids", a.minutes_to_message_ids);
    member(w, "minutes_to_suspicion", a.minutes_to_suspicion);
    member(w, "minutes_to_warning", a.minutes_to_warning);
    w.member("mails", a.mails)
        .member("delivered", a.delivered)
        .member("outside", a.outside)
        .member("delivered_before_warning", a.delivered_before_warning);
    w.member("clicks", a.clicks)
        .member("clicks_before_warning", a.clicks_before_warning)
        .member("would_click", a.would_click);
    w.member("accounts_taken", a.accounts_taken)
        .member("reports", a.reports)
        .member("removed_by_machine", a.removed_by_machine);
    w.member("removed_by_people", a.removed_by_people).member("left", a.left);
    member(w, "clicks_share", a.clicks_share);
    member(w, "clicks_share_model", a.share_model);
    w.end();
  }
  w.end();
  w.key("purges").array();
  for (const auto& p : o.purges) {
    w.object()
        .member("municipality", p.town)
        .member("code", p.code)
        .member("notice", p.notice)
        .member("sender", p.sender)
        .member("state", p.state)
        .member("why", p.why)
        .member("came", p.delivered)
        .member("found", p.found)
        .member("moved", p.removed)
        .member("gone", p.gone)
        .member("left", p.left);
    if (p.again)
      w.member("undone", p.again->undone)
          .member("there_after_undo", p.again->there)
          .member("redone", p.again->redone)
          .member("left_after_redo", p.again->left)
          .member("trouble", p.again->trouble);
    w.end();
  }
  w.end();
  w.key("false_warnings_about").array();
  for (const auto& f : o.false_warnings) w.value(f);
  w.end();
  w.key("delays").object();
  for (const auto& [name, spec] : s.sources.everywhere) {
    w.key(name);
    if (spec.there) w.value(fmt::format("{}..{}", format_duration(spec.late.low), format_duration(spec.late.high)));
    else w.null();
  }
  w.end();
  w.key("modelled")
      .object()
      .member("facts", o.facts)
      .member("benign_mails", o.benign_mails)
      .member("odd_events", o.odd_events);
  w.key("mail_outs").object();
  for (const auto& [kind, n] : o.mail_outs) w.member(kind, n);
  w.end();
  w.end();
  if (o.real_case) {
    w.key("real_case").object().member("text", o.real_case->text);
    for (const auto& [figure, v] : o.real_case->figures) member(w, figure, v);
    w.end();
  }
  w.key("expectations").array();
  for (const auto& e : o.expectations) {
    w.object().member("figure", e.expectation.figure).member("relation", e.expectation.relation);
    member(w, "limit", e.expectation.limit);
    member(w, "got", e.got);
    w.member("met", e.met).end();
  }
  w.end();
  if (!o.note.empty()) w.member("not_in_this_run", o.note);
  member(w, "quiet_hours", o.quiet_hours);
  member(w, "wall_seconds", o.wall_seconds);
  member(w, "cpu_seconds", o.cpu_seconds);
  member(w, "megabytes", o.megabytes);
  w.member("as_expected", o.as_expected).end();
  return out;
}

std::string table_of(const std::vector<Outcome>& runs, bool json) {
  struct Sum {
    std::int64_t real = 0, harmless = 0, found = 0;
    std::vector<double> minutes;
  };
  std::map<std::string, Sum, std::less<>> sums;
  std::int64_t attacks = 0;
  double hours = 0;
  for (const auto& r : runs) {
    attacks += r.real_attacks;
    hours += r.simulated_hours;
    for (const auto& [name, t] : r.by_trigger) {
      Sum& s = sums[name];
      s.real += t.about_real;
      s.harmless += t.about_harmless;
      s.found += t.attacks_found;
      if (t.first_minutes) s.minutes.push_back(*t.first_minutes);
    }
  }
  std::string out;
  JsonWriter w(out);
  if (json)
    w.object()
        .member("runs", static_cast<std::int64_t>(runs.size()))
        .member("attacks", attacks)
        .member("simulated_hours", hours)
        .key("triggers")
        .object();
  else
    out = fmt::format(
        "{} runs, {} real attacks, {:.0f} simulated hours. Wilson's intervals at 95 %.\n"
        "trigger             precision                        recall                           minutes (median)\n",
        runs.size(), attacks, hours);
  for (auto& [name, s] : sums) {
    const Interval p = wilson(s.real, s.real + s.harmless), r = wilson(s.found, attacks);
    std::sort(s.minutes.begin(), s.minutes.end());
    const std::optional<double> median =
        s.minutes.empty() ? std::nullopt : std::optional(s.minutes[s.minutes.size() / 2]);
    if (json) {
      w.key(name).object();
      member(w, "precision", p.share);
      w.key("precision_interval").array().value(p.low).value(p.high).end();
      w.member("about_real", s.real).member("about_harmless", s.harmless);
      member(w, "recall", r.share);
      w.key("recall_interval").array().value(r.low).value(r.high).end();
      w.member("attacks_found", s.found);
      member(w, "median_minutes", median);
      w.end();
    } else {
      out += fmt::format(
          "{:18}  {:5.3f} ({:5.3f}-{:5.3f}) {:4} of {:<5}  {:5.3f} ({:5.3f}-{:5.3f}) {:4} of {:<5}  {:>6}\n", name,
          p.share, p.low, p.high, s.real, s.real + s.harmless, r.share, r.low, r.high, s.found, attacks,
          number(median));
    }
  }
  if (json) {
    w.end();
    std::int64_t met = 0;
    for (const auto& r : runs) met += r.as_expected ? 1 : 0;
    w.member("runs_as_expected", met).end();
  }
  return out;
}

}  // namespace bavn::app::simulate
