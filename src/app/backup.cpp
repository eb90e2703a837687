// bavn backup, bavn restore: a data folder copied while it is in use, and brought back elsewhere.
//
// A backup is a folder: state.db (a consistent copy), history/ (MANIFEST and segments; the index is made again), other files as they are, and
// BACKUP, written last: what there is, with hashes, digests of tables and records per source and day. Keys are left out unless asked for:
// a backup with the keys of the history undoes every erasure. State comes first: cursors into the history never point behind its end.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "history/manifest.hpp"
#include "store/audit.hpp"
#include "store/state_file.hpp"

namespace bavn::app {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFirstLine = "bavn-backup\t1";
constexpr std::size_t kPiece = 1U << 20U;

/// Frames received on one day from one source.
struct Count {
  std::uint64_t frames = 0, records = 0;
  friend bool operator==(const Count&, const Count&) = default;
};
using Counts = std::map<std::pair<std::int32_t, history::Source>, Count>;

struct FileLine {
  std::uint64_t size = 0;
  std::string hash;  // hex
};

struct Contents {
  std::string made_at;
  bool with_keys = false;
  std::map<std::string, FileLine> files;  // by path from the folder
  std::vector<store::TableDigest> tables;
  Counts history;

  std::uint64_t records() const {
    std::uint64_t n = 0;
    for (const auto& [key, count] : history) n += count.records;
    return n;
  }
};

// ---- BACKUP: lines of fields between tabs; names in hex, for they may hold anything

std::string encode(const Contents& c) {
  std::string out = fmt::format("{}\nmade\t{}\t{}\n", kFirstLine, c.made_at, c.with_keys ? 1 : 0);
  for (const auto& [path, f] : c.files) out += fmt::format("file\t{}\t{}\t{}\n", f.size, f.hash, to_hex(path));
  for (const auto& t : c.tables) out += fmt::format("table\t{}\t{}\t{}\n", t.rows, to_hex(t.hash), to_hex(t.table));
  for (const auto& [key, n] : c.history)
    out += fmt::format("history\t{}\t{}\t{}\t{}\t{}\t{}\n", key.first, key.second.municipality.value,
                       key.second.tenant.value, n.frames, n.records, to_hex(key.second.name));
  return out + fmt::format("end\t{}\n", to_hex(blake2b256(out)));
}

class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}
  std::string_view text() {
    const auto tab = rest_.find('\t');
    const auto field = rest_.substr(0, tab);
    rest_ = tab == std::string_view::npos ? std::string_view() : rest_.substr(tab + 1);
    return field;
  }
  template <class N>
  N number() {
    const auto s = text();
    N n{};
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
    good_ = good_ && error == std::errc() && end == s.data() + s.size();
    return n;
  }
  std::string name() {
    auto bytes = from_hex(text());
    good_ = good_ && bytes.has_value();
    return bytes ? std::move(*bytes) : std::string();
  }
  bool good() const { return good_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

Result<Contents> decode(std::string_view text) {
  const auto bad = [] { return fail(Code::corrupt, "the file BACKUP is damaged or the backup was not finished"); };
  const auto end = text.rfind("\nend\t");
  if (!text.starts_with(kFirstLine) || end == std::string_view::npos ||
      text.substr(end + 1) != fmt::format("end\t{}\n", to_hex(blake2b256(text.substr(0, end + 1)))))
    return bad();
  Contents c;
  for (std::string_view rest = text.substr(0, end + 1); !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    Fields f(line);
    const auto kind = f.text();
    if (kind == "made") {
      c.made_at = f.text();
      c.with_keys = f.number<int>() == 1;
    } else if (kind == "file") {
      FileLine l{f.number<std::uint64_t>(), std::string(f.text())};
      const std::string path = f.name();
      // Nothing of a backup is written outside the folder it is restored to.
      const fs::path p(path);
      if (p.empty() || p.is_absolute() || std::ranges::find(p, "..") != p.end()) return bad();
      c.files.emplace(path, std::move(l));
    } else if (kind == "table") {
      store::TableDigest t;
      t.rows = f.number<std::int64_t>();
      t.hash = f.name();
      t.table = f.name();
      c.tables.push_back(std::move(t));
    } else if (kind == "history") {
      history::Source s;
      const auto day = f.number<std::int32_t>();
      s.municipality.value = f.number<std::uint16_t>();
      s.tenant.value = f.number<std::uint16_t>();
      Count n;
      n.frames = f.number<std::uint64_t>();
      n.records = f.number<std::uint64_t>();
      s.name = f.name();
      c.history.emplace(std::pair(day, std::move(s)), n);
    } else if (kind != "bavn-backup") {
      return bad();
    }
    if (!f.good()) return bad();
  }
  return c;
}

// ---- files

Result<FileLine> described(Files& files, const std::string& path) {
  BAVN_TRY(const auto file, files.open(path, OpenMode::read));
  BAVN_TRY(const auto size, file->size());
  if (size == 0) return FileLine{0, to_hex(blake2b256(""))};
  BAVN_TRY(const auto mapped, files.map(path));
  return FileLine{size, to_hex(blake2b256(mapped->bytes()))};
}

/// The first `most` bytes; durable when it returns.
Result<void> copy_file(Files& files, const std::string& from, const std::string& to, std::uint64_t most = UINT64_MAX) {
  BAVN_TRY(const auto in, files.open(from, OpenMode::read));
  BAVN_CHECK(files.make_dirs(parent_of(to)));
  BAVN_TRY(const auto out, files.open(to, OpenMode::create));
  BAVN_CHECK(out->truncate(0));
  std::string piece(kPiece, '\0');
  for (std::uint64_t at = 0; at < most;) {
    BAVN_TRY(const auto n, in->pread(at, std::span(piece.data(), std::min<std::uint64_t>(piece.size(), most - at))));
    if (n == 0) break;
    BAVN_CHECK(out->pwrite(at, std::string_view(piece).substr(0, n)));
    at += n;
  }
  return out->sync();
}

bool is_key(const fs::path& path) {
  return path.extension() == ".key" || std::ranges::find(path, "keys") != path.end();
}

/// Regular files below `folder`, as paths from it, sorted.
Result<std::vector<std::string>> files_in(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    if (it->is_regular_file(ec) && !it->is_symlink(ec)) out.push_back(fs::relative(it->path(), folder, ec));
  if (ec) return fail(Code::unavailable, "cannot read the folder: " + ec.message(), folder);
  std::ranges::sort(out);
  return out;
}

Result<bool> usable_target(const std::string& path) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return true;
  if (!fs::is_directory(path, ec) || !fs::is_empty(path, ec))
    return fail(Code::conflict, "it is already there and not an empty folder; nothing is overwritten", path);
  return true;
}

// ---- history

struct Walked {
  std::uint64_t end = 0;  // of the last whole frame
  Counts counts;
};

Result<Walked> walk(Files& files, const std::string& path, std::uint32_t segment) {
  BAVN_TRY(const auto file, files.open(path, OpenMode::read));
  BAVN_TRY(const auto size, file->size());
  Walked w;
  if (size < history::kSegmentHeaderBytes) return w;
  BAVN_TRY(const auto mapped, files.map(path));
  const std::string_view bytes = mapped->bytes();
  const auto header = history::decode_segment_header(bytes.substr(0, history::kSegmentHeaderBytes));
  if (!header || header->segment != segment) return w;
  for (w.end = history::kSegmentHeaderBytes; w.end < bytes.size();) {
    const auto frame = history::decode_frame(bytes.substr(w.end));
    if (!frame || frame->header.segment != segment) break;
    const history::FrameHeader& h = frame->header;
    if (h.kind == history::FrameKind::lines) {
      Count& n = w.counts[{history::day_of(h.received_us), {std::string(h.source), h.municipality, h.tenant}}];
      ++n.frames;
      n.records += h.count;
    }
    w.end += frame->length;
  }
  return w;
}

std::optional<std::uint32_t> segment_in(std::string_view name) {
  if (!name.starts_with("seg-")) return std::nullopt;
  std::uint32_t n = 0;
  const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), n);
  return error == std::errc() && end == name.data() + name.size() ? std::optional(n) : std::nullopt;
}

Result<std::string> manifest_bytes(Files& files, const std::string& folder) {
  if (!files.exists(folder + "/MANIFEST")) return history::encode(history::Manifest{});
  return read_file(files, folder + "/MANIFEST", 1ULL << 30U);
}

/// What one reading of the manifest names, and of the open segments what is whole of them. False: segments went while they were copied (packed,
/// dropped by retention); the manifest is another now.
Result<bool> copy_as_named(Files& files, const std::string& from, const std::string& to, const std::string& named,
                           std::map<std::uint32_t, std::pair<std::uint64_t, Counts>>& sealed_done, Counts& counts) {
  BAVN_TRY(const auto manifest, history::decode_manifest(named));
  BAVN_TRY(const auto names, files.list(from));
  std::set<std::uint32_t> on_disk;
  for (const auto& name : names)
    if (const auto n = segment_in(name)) on_disk.insert(*n);
  std::set<std::string> wanted{"MANIFEST"};
  counts.clear();
  const auto add = [&](const Counts& more) {
    for (const auto& [key, n] : more) {
      counts[key].frames += n.frames;
      counts[key].records += n.records;
    }
  };
  for (const auto& meta : manifest.segments) {
    const std::string name = "seg-" + std::to_string(meta.segment), path = to + "/" + name;
    const auto done = sealed_done.find(meta.segment);
    if (done == sealed_done.end() || done->second.first != meta.file_bytes) {
      if (!on_disk.contains(meta.segment) || !copy_file(files, from + "/" + name, path, meta.file_bytes)) return false;
      BAVN_TRY(auto w, walk(files, path, meta.segment));
      if (w.end != meta.file_bytes) return false;
      sealed_done[meta.segment] = {meta.file_bytes, std::move(w.counts)};
    }
    // Which of its frames are doubles; without it they would show again.
    if (files.exists(from + "/" + name + ".dir") && !copy_file(files, from + "/" + name + ".dir", path + ".dir"))
      return false;
    add(sealed_done.at(meta.segment).second);
    wanted.insert({name, name + ".dir"});
  }
  // Ascending: when there are two, the older one is full and is being sealed.
  for (const std::uint32_t n : on_disk) {
    if (n <= manifest.sealed_until ||
        std::ranges::find(manifest.segments, n, &history::SegmentMeta::segment) != manifest.segments.end())
      continue;
    const std::string name = "seg-" + std::to_string(n), path = to + "/" + name;
    if (!copy_file(files, from + "/" + name, path)) return false;
    BAVN_TRY(const auto w, walk(files, path, n));
    BAVN_TRY(const auto out, files.open(path, OpenMode::write));
    BAVN_CHECK(out->truncate(w.end));
    BAVN_CHECK(out->sync());
    add(w.counts);
    wanted.insert(name);
  }
  BAVN_CHECK(replace_file(files, to + "/MANIFEST", named));
  BAVN_TRY(const auto copied, files.list(to));
  for (const auto& name : copied)
    if (!wanted.contains(name)) BAVN_CHECK(files.unlink(to + "/" + name));
  return true;
}

Result<Counts> copy_history(Files& files, const std::string& from, const std::string& to) {
  BAVN_CHECK(files.make_dirs(to));
  std::map<std::uint32_t, std::pair<std::uint64_t, Counts>> sealed_done;
  Counts counts;
  std::string before;
  for (int round = 0; round < 100; ++round) {
    BAVN_TRY(const std::string named, manifest_bytes(files, from));
    if (named == before)
      return fail(Code::corrupt, "a segment that the manifest names is missing or damaged; `bavn doctor` says which",
                  from);
    BAVN_TRY(const bool whole, copy_as_named(files, from, to, named, sealed_done, counts));
    if (whole) return counts;
    before = named;
  }
  return fail(Code::unavailable, "the history changes faster than it can be copied; try again later", from);
}

Result<Counts> counts_of(Files& files, const std::string& folder) {
  Counts counts;
  BAVN_TRY(const auto names, files.list(folder));
  for (const auto& name : names) {
    const auto n = segment_in(name);
    if (!n) continue;
    BAVN_TRY(const auto w, walk(files, folder + "/" + name, *n));
    for (const auto& [key, count] : w.counts) {
      counts[key].frames += count.frames;
      counts[key].records += count.records;
    }
  }
  return counts;
}

// ---- the two commands

bool of_state(std::string_view path) {
  return path == "state.db" || path.starts_with("state.db-");
}

Result<Contents> make_backup(const BackupOptions& options, Files& files) {
  BAVN_CHECK(usable_target(options.to));
  const std::string data = fs::weakly_canonical(options.data), to = fs::weakly_canonical(options.to);
  if ((to + "/").starts_with(data + "/"))
    return fail(Code::bad_input, "a backup inside the folder it is of would hold itself", options.to);
  const bool state = files.exists(data + "/state.db"), history = files.exists(data + "/history");
  if (!state && !history) return fail(Code::not_found, "there is neither state.db nor history here", options.data);
  BAVN_CHECK(files.make_dirs(to));

  Contents c{
      .made_at = format_time(system_now()), .with_keys = options.with_keys, .files = {}, .tables = {}, .history = {}};
  if (state) {
    BAVN_TRY(auto from, store::StateFile::open(data + "/state.db"));
    BAVN_CHECK(from.copy_to(to + "/state.db"));
    BAVN_TRY(auto copy, store::StateFile::open(to + "/state.db"));
    BAVN_TRY(c.tables, copy.digest());
  }
  if (history) {
    BAVN_TRY(c.history, copy_history(files, data + "/history", to + "/history"));
  }
  // After the history: its newest keys are older than its newest frames.
  BAVN_TRY(const auto others, files_in(data));
  for (const auto& path : others) {
    const bool key = is_key(path);
    if (of_state(path) || (path.starts_with("history/") && !path.starts_with("history/keys/"))) continue;
    if ((key && !options.with_keys) || fs::path(path).filename() == "LOCK" || path.ends_with(".part")) continue;
    if (const auto ok = copy_file(files, data + "/" + path, to + "/" + path); !ok && ok.error().code != Code::not_found)
      return std::unexpected(ok.error());
  }
  BAVN_TRY(const auto all, files_in(to));
  for (const auto& path : all) {
    if (of_state(path) && path != "state.db") {  // left by reading the copy
      BAVN_CHECK(files.unlink(to + "/" + path));
      continue;
    }
    BAVN_TRY(c.files[path], described(files, to + "/" + path));
    BAVN_CHECK(files.sync_dir(parent_of(to + "/" + path)));
  }
  BAVN_CHECK(replace_file(files, to + "/BACKUP", encode(c)));
  BAVN_CHECK(files.sync_dir(parent_of(to)));
  return c;
}

Result<Contents> bring_back(const RestoreOptions& options, Files& files) {
  BAVN_CHECK(usable_target(options.data));
  if (!files.exists(options.from + "/BACKUP"))
    return fail(Code::not_found, "this is no finished backup: it has no file BACKUP", options.from);
  BAVN_TRY(const auto text, read_file(files, options.from + "/BACKUP", 1ULL << 30U));
  BAVN_TRY(Contents c, decode(text));
  // Beside, then renamed: a folder of that name is whole.
  const std::string part = options.data + ".part";
  std::error_code ec;
  fs::remove_all(part, ec);
  BAVN_CHECK(files.make_dirs(part));
  for (const auto& [path, line] : c.files) {
    BAVN_CHECK(copy_file(files, options.from + "/" + path, part + "/" + path));
    BAVN_TRY(const auto now, described(files, part + "/" + path));
    if (now.size != line.size || now.hash != line.hash) {
      fs::remove_all(part, ec);
      return fail(Code::corrupt, "a file of the backup is not what was written: " + path, options.from);
    }
    BAVN_CHECK(files.sync_dir(parent_of(part + "/" + path)));
  }
  fs::remove(options.data, ec);  // an empty folder
  BAVN_CHECK(files.rename(part, options.data));
  BAVN_CHECK(files.sync_dir(parent_of(options.data)));
  return c;
}

struct Verdict {
  std::vector<std::string> problems;
  std::uint64_t tables = 0, rows = 0, records = 0, checked_records = 0;
  bool history_opened = false;
};

Result<Verdict> compare(const RestoreOptions& options, Files& files, const Contents& c) {
  Verdict v;
  if (c.files.contains("state.db")) {
    BAVN_TRY(auto state, store::StateFile::open(options.data + "/state.db"));
    BAVN_TRY(v.problems, state.check());
    BAVN_TRY(const auto tables, state.digest());
    v.tables = tables.size();
    for (const auto& t : tables) v.rows += static_cast<std::uint64_t>(t.rows);
    for (const auto& t : c.tables)
      if (std::ranges::find(tables, t) == tables.end()) v.problems.push_back("table " + t.table + " differs");
    if (tables.size() != c.tables.size()) v.problems.push_back("there are other tables than in the backup");
    BAVN_TRY(const auto audit, state.read([](store::Reader& r) { return store::audit::verify(r); }));
    for (const auto& f : audit.findings) v.problems.push_back("audit log: " + f.text);
  }
  const std::string history = options.data + "/history";
  if (!files.exists(history)) return v;
  BAVN_TRY(const Counts counts, counts_of(files, history));
  for (const auto& [key, n] : counts) v.records += n.records;
  if (counts != c.history) v.problems.push_back("the history holds other records per source and day than the backup");
  if (!files.exists(history + "/keys/keyring")) return v;
  BAVN_TRY(const auto data, open_data(options.data, {}, false));
  BAVN_TRY(const auto check, data->history->check(event::Scope::local_owner()));
  v.history_opened = true;
  v.checked_records = check.records;
  for (const auto& p : check.problems) v.problems.push_back("history: " + p);
  return v;
}

}  // namespace

int backup(const BackupOptions& options) {
  DiskFiles files;
  const auto made = make_backup(options, files);
  if (!made) return failed(made.error());
  std::uint64_t bytes = 0;
  for (const auto& [path, f] : made->files) bytes += f.size;
  if (options.json) {
    std::string out;
    JsonWriter(out)
        .object()
        .member("ok", true)
        .member("files", static_cast<std::uint64_t>(made->files.size()))
        .member("bytes", bytes)
        .member("tables", static_cast<std::uint64_t>(made->tables.size()))
        .member("events", made->records())
        .member("with_keys", made->with_keys)
        .end();
    fmt::print("{}\n", out);
    return kDone;
  }
  fmt::print("{} files, {:.1f} MB; {} tables, {} events of history\n", made->files.size(), megabytes(bytes),
             made->tables.size(), made->records());
  fmt::print("{}\n",
             made->with_keys
                 ? "The keys are in it: whoever has this backup reads everything, erased events too. Keep it as a key."
                 : "The keys are not in it (--with-keys): keep the key folders elsewhere, the history cannot be "
                   "read without them.");
  return kDone;
}

int restore(const RestoreOptions& options) {
  DiskFiles files;
  const auto contents = bring_back(options, files);
  if (!contents) return failed(contents.error());
  Verdict v;
  if (options.verify) {
    auto compared = compare(options, files, *contents);
    if (!compared) return failed(compared.error());
    v = std::move(*compared);
  }
  const bool ok = v.problems.empty();
  if (options.json) {
    std::string out;
    JsonWriter w(out);
    w.object().member("ok", ok).member("made_at", contents->made_at).member("verified", options.verify);
    w.member("files", static_cast<std::uint64_t>(contents->files.size()))
        .member("tables", v.tables)
        .member("rows", v.rows);
    w.member("events", contents->records()).member("events_found", v.records);
    w.member("history_opened", v.history_opened).member("events_checked", v.checked_records);
    w.key("problems").array();
    for (const auto& p : v.problems) w.value(p);
    w.end().end();
    fmt::print("{}\n", out);
  } else {
    fmt::print("{} files of the backup of {}\n", contents->files.size(), contents->made_at);
    if (options.verify) {
      fmt::print("{} tables with {} rows and {} events compared\n", v.tables, v.rows, v.records);
      if (v.history_opened) fmt::print("{} events read and checked with their index\n", v.checked_records);
      for (const auto& p : v.problems) fmt::print("PROBLEM {}\n", p);
      fmt::print("{}\n", ok ? "equal" : "not equal");
    }
    if (!contents->with_keys)
      fmt::print(
          "The backup holds no keys. Put the key folders back (history/keys) before anything is started here.\n");
  }
  return ok ? kDone : kFailed;
}

}  // namespace bavn::app
