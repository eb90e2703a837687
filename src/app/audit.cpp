// bavn audit: is the audit log whole; what is in it.
#include "store/audit.hpp"

#include <fmt/format.h>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "store/state_file.hpp"

namespace bavn::app {

namespace {

namespace audit = store::audit;

Result<audit::Report> verified(const AuditOptions& options) {
  std::vector<audit::Witness> theirs;
  if (!options.other_data.empty()) {
    BAVN_TRY(auto other, store::StateFile::open(options.other_data + "/state.db"));
    BAVN_TRY(theirs, other.read([&](store::Reader& r) { return audit::witnesses(r, options.chain); }));
    if (theirs.empty())
      return fail(Code::not_found, fmt::format("nobody there signed an audit log named '{}'", options.chain),
                  options.other_data);
  }
  BAVN_TRY(auto file, store::StateFile::open(options.data + "/state.db"));
  return file.read([&](store::Reader& r) { return audit::verify(r, theirs); });
}

int verify(const AuditOptions& options) {
  const auto report = verified(options);
  if (!report) return failed(report.error());
  if (options.json) {
    std::string out;
    JsonWriter w(out);
    w.object().member("ok", report->ok()).member("entries", report->entries);
    w.member("first", report->first).member("last", report->last);
    w.member("taken_by_retention", report->taken_by_retention);
    w.member("witnesses", static_cast<std::uint64_t>(report->witnesses)).member("witnessed_to", report->witnessed_to);
    w.member("signatures_checked", false).key("findings").array();
    for (const auto& f : report->findings)
      w.object()
          .member("fault", audit::name_of(f.fault))
          .member("first", f.first)
          .member("last", f.last)
          .member("text", f.text)
          .end();
    w.end().end();
    fmt::print("{}\n", out);
  } else {
    fmt::print(
        "{} entries, {} to {}; {} witnesses, the newest entry they saw is {} (their signatures are not checked here)\n",
        report->entries, report->first, report->last, report->witnesses, report->witnessed_to);
    if (report->taken_by_retention > 0) fmt::print("retention took the entries up to {}\n", report->taken_by_retention);
    for (const auto& f : report->findings) fmt::print("PROBLEM {}\n", f.text);
    if (report->ok() && report->witnessed_to < report->last)
      fmt::print("nobody else has seen the entries after {}: a cut there could not be noticed\n", report->witnessed_to);
    fmt::print("{}\n", report->ok() ? "the log is whole" : "the log is not what was written");
  }
  return report->ok() ? kDone : kFailed;
}

int list(const AuditOptions& options) {
  auto file = store::StateFile::open(options.data + "/state.db");
  if (!file) return failed(file.error());
  const auto rows = file->read([&](store::Reader& r) { return audit::list(r, options.from, options.limit); });
  if (!rows) return failed(rows.error());
  for (const auto& row : *rows) {
    if (!options.json) {
      fmt::print("{:>8}  {}  {}  {}  {}  {}\n", row.seq, format_time(from_micros(row.at_us)), row.who, row.action,
                 row.subject, row.detail);
      continue;
    }
    std::string out;
    JsonWriter(out)
        .object()
        .member("seq", row.seq)
        .member("at", format_time(from_micros(row.at_us)))
        .member("who", row.who)
        .member("action", row.action)
        .member("subject", row.subject)
        .member("detail", row.detail)
        .member("hash", to_hex(row.hash.bytes))
        .end();
    fmt::print("{}\n", out);
  }
  return kDone;
}

}  // namespace

int audit_command(const AuditOptions& options) {
  return options.action == "verify" ? verify(options) : list(options);
}

}  // namespace bavn::app
