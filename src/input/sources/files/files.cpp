#include "input/sources/files/files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "base/hash.hpp"
#include "base/log.hpp"
#include "base/utf16.hpp"
#include "input/lateness.hpp"
#include "input/sources/files/content.hpp"
#include "input/sources/files/records.hpp"
#include "input/sources/files/watch.hpp"

namespace bavn::input::sources::files {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kHead = 1024;    // bytes of the beginning that a file is known by
constexpr std::size_t kSureHead = 64;  // with fewer, two files are never taken for one
constexpr std::size_t kTail = 64;      // bytes before the cursor that must still be the same
constexpr std::size_t kMaxContext = 64U << 10U;
constexpr Duration kStillPacking = 1min;  // since its last change: a packed file may not be whole yet
constexpr unsigned kStepsAtOnce = 64;     // then others on the queue have their turn

std::int64_t hash_of(std::string_view bytes) {
  return static_cast<std::int64_t>(hash64(bytes));
}
bool begins_as(std::string_view head, const Cursor& row) {
  const auto n = static_cast<std::size_t>(row.head_length);
  return n == 0 || (head.size() >= n && hash_of(head.substr(0, n)) == row.head_hash);
}
void set_head(Cursor& row, std::string_view head) {
  row.head_length = static_cast<std::int64_t>(head.size());
  row.head_hash = hash_of(head);
}
std::string_view tail_of(std::string_view bytes) {
  return bytes.substr(bytes.size() - std::min(bytes.size(), kTail));
}
std::string beginning(std::string_view text) {
  return std::string(text.substr(0, std::min<std::size_t>(text.find('\n'), 100)));
}

}  // namespace

class FileSource::Core : public std::enable_shared_from_this<FileSource::Core> {
 public:
  Core(Runtime& runtime, QueueId queue, Sink& sink, SourceBook& book, Cursors& cursors, FileOptions options,
       FolderWatch* watch)
      : runtime_(runtime),
        queue_(queue),
        sink_(sink),
        book_(book),
        cursors_(cursors),
        options_(std::move(options)),
        watch_(watch) {}

  void begin() {
    if (watch_ != nullptr)
      client_ = watch_->add([weak = weak_from_this()](bool names) {
        if (const auto core = weak.lock()) core->wake(names);
      });
    later(Duration{0}, [](Core& c) { c.tick(); });
  }

  void end() {
    if (watch_ != nullptr) watch_->remove(client_);
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }

  void wake(bool names) {
    if (names) names_changed_ = true;
    if (awake_.exchange(true)) return;
    later(Duration{0}, [](Core& c) {
      c.awake_ = false;
      c.look();
    });
  }

 private:
  using Key = std::pair<std::int64_t, std::int64_t>;  // device, inode

  struct Followed {
    Cursor row;
    std::string path;
    std::unique_ptr<Content> content;
    FileStat seen;
    Duration grew{0}, used{0};
    std::size_t window = 0;
    bool gone = false;     // none of our names leads to it
    bool busy = false;     // its row or a delivery is on its way
    bool queued = false;   // in ready_
    bool dirty = false;    // the row moved since it was stored
    bool partial = false;  // what is left has no end yet
    bool drained = false;  // all that is there was read
  };
  struct Piece {
    std::string bytes, context;
    std::int64_t end = 0, tail_length = 0, tail_hash = 0;
  };
  enum class Step : std::uint8_t { done, again };

  /// Runs on the queue, unless the source was ended meanwhile.
  void later(Duration delay, std::move_only_function<void(Core&)> f) {
    runtime_.after(delay, queue_, [weak = weak_from_this(), f = std::move(f)]() mutable {
      const auto core = weak.lock();
      if (!core) return;
      const std::lock_guard lock(core->mutex_);
      if (!core->stopped_) f(*core);
    });
  }

  void tick() {
    later(options_.poll, [](Core& c) { c.tick(); });
    look();
  }

  void look() {
    if (!loaded_ && !load()) return say();
    if (names_changed_.exchange(false) || scanned_at_ < Duration{0} || runtime_.steady() - scanned_at_ >= options_.scan)
      scan();
    poll();
    pump();
    say();
  }

  bool load() {
    auto rows = cursors_.load(options_.name);
    if (!rows) {
      blocked_ = "the cursors of this source cannot be read: " + to_string(rows.error());
      return false;
    }
    blocked_.clear();
    new_source_ = rows->empty();
    for (Cursor& row : *rows) rest_[row.life] = std::move(row);
    return loaded_ = true;
  }

  // ---- which files there are -----------------------------------------------------------------------------------------------

  void scan() {
    scanned_at_ = runtime_.steady();
    for (auto& [life, f] : followed_)
      if (trouble_.contains(f->path)) f->drained = false;  // it is tried again
    trouble_.clear();
    std::map<Key, std::pair<std::string, FileStat>> present;
    std::vector<Error> trouble;
    std::set<std::string> folders;
    for (const std::string& pattern : options_.paths) {
      folders.insert(parent_of(pattern));
      for (std::string& path : expand(runtime_.files(), pattern, options_.max_files, trouble)) {
        if (std::any_of(options_.exclude.begin(), options_.exclude.end(),
                        [&](const std::string& p) { return matches(p, path); }))
          continue;
        const auto st = runtime_.files().stat(path);
        if (!st) {
          if (st.error().code != Code::not_found) trouble.push_back(st.error());
          continue;
        }
        if (!st->regular) continue;
        folders.insert(parent_of(path));
        present.try_emplace(key_of(*st), std::move(path), *st);
      }
    }
    for (const Error& e : trouble) trouble_[e.where] = e.what;
    if (watch_ != nullptr) watch_->folders(client_, std::move(folders));

    for (auto& [life, f] : followed_) {
      const auto it = present.find({f->row.device, f->row.inode});
      if (it == present.end() && !f->gone) f->grew = runtime_.steady();  // what its writer still has for it comes now
      f->gone = it == present.end();
      if (!f->gone) f->path = it->second.first;
      else find_again(*f);
    }
    std::erase_if(held_, [&](const auto& h) { return !present.contains(h.first); });
    std::vector<Key> unknown;
    for (const auto& [key, file] : present)
      if (!by_key_.contains(key)) unknown.push_back(key);
    // Those that are known by their inode first: a copy must not take the life of its original.
    std::erase_if(unknown,
                  [&](const Key& key) { return known_by_inode(key, present[key].first, present[key].second); });
    for (const Key& key : unknown) adopt(key, present[key].first, present[key].second);
    new_source_ = false;
    forget_old();
  }

  /// A file that was renamed to where no pattern looks, and is not open: its folder still has it, as a rule.
  void find_again(Followed& f) {
    if (f.content || f.row.complete || static_cast<std::int64_t>(f.seen.size) <= f.row.at) return;
    const std::string folder = parent_of(f.path);
    const auto names = runtime_.files().list(folder);
    if (!names) return;
    for (const std::string& name : *names) {
      const auto st = runtime_.files().stat(folder + "/" + name);
      if (!st || key_of(*st) != Key{f.row.device, f.row.inode}) continue;
      auto content = Content::open(runtime_.files(), folder + "/" + name);
      if (!content) return;
      f.content = *std::move(content);
      ++open_;
      return;
    }
  }

  bool known_by_inode(const Key& key, const std::string& path, const FileStat& st) {
    const auto it = std::find_if(rest_.begin(), rest_.end(), [&](const auto& r) {
      return !r.second.over && Key{r.second.device, r.second.inode} == key;
    });
    if (it == rest_.end()) return false;
    auto content = open(path);
    if (!content) return true;
    const auto head = (*content)->read(0, kHead);
    const bool same = head && begins_as(*head, it->second) &&
                      ((*content)->packed() || static_cast<std::int64_t>(st.size) >= it->second.at);
    if (!same) {  // truncated, or the inode is another file's now
      it->second.over = true;
      store({it->second});
      return false;
    }
    Cursor row = std::move(it->second);
    rest_.erase(it);
    follow(std::move(row), path, st, *std::move(content));
    return true;
  }

  void adopt(const Key& key, const std::string& path, const FileStat& st) {
    if (const auto it = held_.find(key); it != held_.end()) {
      if (it->second.size == st.size && it->second.modified_us == st.modified_us && followed_.contains(it->second.of))
        return;
      held_.erase(it);
    }
    auto content = open(path);
    if (!content) return;
    if ((*content)->packed() && still_packing(st)) return;
    auto head = (*content)->read(0, kHead);
    if (!head) {
      trouble_[path] = head.error().what;
      return;
    }
    if (head->size() >= kSureHead) {
      if (const std::int64_t of = copy_of(*head, st, **content)) {
        held_[key] = {of, st.size, st.modified_us};
        return;
      }
      if (auto row = left_over(*head, **content)) {
        row->over = false;
        row->complete = false;
        row->device = key.first;
        row->inode = key.second;
        follow(*std::move(row), path, st, *std::move(content));
        return;
      }
    }
    Cursor row;
    row.life = static_cast<std::int64_t>(runtime_.random_number() >> 1U);
    row.device = key.first;
    row.inode = key.second;
    row.encoding = static_cast<std::int64_t>(encoding_of(*head));
    set_head(row, *head);
    if (new_source_ && options_.from_end) {
      row.shape = static_cast<std::int64_t>(shape_of(*head));
      row.at = row.offered = static_cast<std::int64_t>(st.size);
      if ((*content)->packed()) {
        row.complete = true;
      } else if (const auto last = (*content)->read(st.size - std::min<std::uint64_t>(st.size, kTail), kTail)) {
        row.tail_length = static_cast<std::int64_t>(last->size());
        row.tail_hash = hash_of(*last);
        row.skipping = !last->empty() && last->back() != '\n';
      }
    }
    follow(std::move(row), path, st, *std::move(content)).dirty = true;
  }

  /// The followed file that this one is a copy of (made before a truncation, or by packing): it waits until that one's life is over.
  std::int64_t copy_of(std::string_view head, const FileStat& st, Content& copy) {
    for (auto& [life, f] : followed_) {
      if (f->row.head_length < static_cast<std::int64_t>(kSureHead) || !begins_as(head, f->row)) continue;
      if (!f->content && !open_again(*f)) continue;
      if (const auto now = f->content->read(0, kHead); !now || !begins_as(*now, f->row))
        return life;  // truncated just now
      std::int64_t common = static_cast<std::int64_t>(f->seen.size);
      if (f->content->packed() || copy.packed()) common = f->row.at;
      if (!copy.packed()) common = std::min(common, static_cast<std::int64_t>(st.size));
      const std::uint64_t from = static_cast<std::uint64_t>(std::max<std::int64_t>(common, kTail)) - kTail;
      const auto n = static_cast<std::size_t>(static_cast<std::uint64_t>(common) - from);
      const auto a = copy.read(from, n), b = f->content->read(from, n);
      if (a && b && *a == *b) return life;
    }
    return 0;
  }

  /// The life whose file went away and whose bytes are these: of several the one that was read farthest.
  std::optional<Cursor> left_over(std::string_view head, Content& content) {
    auto best = rest_.end();
    for (auto it = rest_.begin(); it != rest_.end(); ++it) {
      const Cursor& row = it->second;
      if (row.head_length < static_cast<std::int64_t>(kSureHead) || !begins_as(head, row)) continue;
      if (best != rest_.end() && row.at <= best->second.at) continue;
      const auto tail =
          content.read(static_cast<std::uint64_t>(row.at - row.tail_length), static_cast<std::size_t>(row.tail_length));
      if (tail && hash_of(*tail) == row.tail_hash && static_cast<std::int64_t>(tail->size()) == row.tail_length)
        best = it;
    }
    if (best == rest_.end()) return std::nullopt;
    Cursor row = std::move(best->second);
    rest_.erase(best);
    return row;
  }

  Followed& follow(Cursor row, const std::string& path, const FileStat& st, std::unique_ptr<Content> content) {
    auto f = std::make_unique<Followed>();
    f->row = std::move(row);
    f->path = f->row.path = path;
    f->seen = st;
    f->window = options_.chunk;
    f->grew = f->used = runtime_.steady();
    if (f->row.complete) content.reset();
    make_room_for_handle();
    f->content = std::move(content);
    open_ += f->content ? 1 : 0;
    by_key_[{f->row.device, f->row.inode}] = f->row.life;
    Followed& in = *(followed_[f->row.life] = std::move(f));
    if (!in.row.complete) enqueue(in);
    return in;
  }

  void forget_old() {
    const std::int64_t limit = micros(runtime_.now()) - options_.forget.count();
    std::vector<std::int64_t> old;
    for (const auto& [life, row] : rest_)
      if (row.updated_us < limit) old.push_back(life);
    if (old.empty()) return;
    for (const std::int64_t life : old) rest_.erase(life);
    store({}, std::move(old));
  }

  // ---- what is new in them -------------------------------------------------------------------------------------------------

  void poll() {
    const Duration now = runtime_.steady();
    bool names = false;
    std::vector<std::int64_t> over;
    for (auto& [life, f] : followed_) {
      if (!f->gone) {
        const auto st = runtime_.files().stat(f->path);
        if (!st || key_of(*st) != Key{f->row.device, f->row.inode}) names = true;
        else notice(*f, *st, now);
      } else if (f->content) {
        if (const auto st = f->content->stat()) notice(*f, *st, now);
      }
      const bool waited = f->partial && now - f->grew >= (f->gone ? options_.rotated_wait : options_.partial_wait);
      if (!f->row.complete && (!f->drained || waited)) enqueue(*f);
      else if (f->dirty) enqueue(*f);
      if (!f->gone || f->busy || f->dirty) continue;
      if (!f->content || (f->drained && !f->partial && now - f->grew >= options_.rotated_wait)) over.push_back(life);
    }
    for (const std::int64_t life : over) release(life);
    if (names) scan();
  }

  void notice(Followed& f, const FileStat& st, Duration now) {
    if (st.size == f.seen.size && st.modified_us == f.seen.modified_us) {
      // Still stored once in a while, so that it is not taken for forgotten.
      if (micros(runtime_.now()) - f.row.updated_us > options_.forget.count() / 4) f.dirty = true;
      return;
    }
    if (st.size != f.seen.size) f.grew = now;
    f.seen = st;
    f.drained = f.row.complete = false;
  }

  /// Nobody has this file any more; its cursor is kept, in case its bytes come back under another name.
  void release(std::int64_t life) {
    const auto it = followed_.find(life);
    Followed& f = *it->second;
    const auto size = static_cast<std::int64_t>(f.seen.size);
    if (!f.row.complete && !f.content && size > f.row.at)
      book_.refused(options_.name, "file_gone_unread", 1,
                    fmt::format("{}: {} bytes were gone before they were read", f.path, size - f.row.at));
    f.row.over = true;
    store({f.row});
    if (f.queued) std::erase(ready_, life);
    if (f.content) --open_;
    by_key_.erase({f.row.device, f.row.inode});
    rest_[life] = std::move(f.row);
    followed_.erase(it);
    names_changed_ = true;  // a copy may wait for this
  }

  void enqueue(Followed& f) {
    if (f.queued || f.busy) return;
    f.queued = true;
    ready_.push_back(f.row.life);
  }

  void pump() {
    if (pumping_) return;
    pumping_ = true;
    unsigned steps = 0;
    while (!ready_.empty() && in_flight_ < options_.in_flight && runtime_.steady() >= blocked_until_) {
      if (!sink_.has_room(options_.chunk)) {
        block("the history has no room now; reading goes on when it has");
        break;
      }
      if (++steps > kStepsAtOnce) {
        later(Duration{0}, [](Core& c) { c.pump(); });
        break;
      }
      const std::int64_t life = ready_.front();
      ready_.pop_front();
      const auto it = followed_.find(life);
      if (it == followed_.end()) continue;
      Followed& f = *it->second;
      f.queued = false;
      if (f.busy) continue;
      f.used = runtime_.steady();
      if (step(f) == Step::again) enqueue(f);
      else if (f.dirty && !f.busy) store_row(f);
    }
    pumping_ = false;
  }

  Step step(Followed& f) {
    if (f.row.complete) return Step::done;
    if (!f.content && !open_again(f)) return Step::done;
    const auto st = f.content->stat();
    if (!st) return failed(f, st.error());
    Cursor& row = f.row;
    if (!f.content->packed()) {
      if (static_cast<std::int64_t>(st->size) < row.at) return begin_again(f);
      auto head = f.content->read(0, kHead);
      if (!head) return failed(f, head.error());
      if (!begins_as(*head, row)) return begin_again(f);
      if (row.at == 0) row.encoding = static_cast<std::int64_t>(encoding_of(*head));
      set_head(row, *head);
    }
    const bool exact = row.offered > row.at;
    const auto n = exact ? static_cast<std::size_t>(row.offered - row.at) : f.window;
    const auto before = f.content->packed() ? std::size_t{0} : static_cast<std::size_t>(row.tail_length);
    auto read = f.content->read(static_cast<std::uint64_t>(row.at) - before, before + n);
    if (!read) return read.error().code == Code::corrupt ? damaged(f, *st, read.error()) : failed(f, read.error());
    if (before != 0 && (read->size() < before || hash_of(std::string_view(*read).substr(0, before)) != row.tail_hash))
      return begin_again(f);
    forget_trouble(f.path);
    const std::string_view raw = std::string_view(*read).substr(before);
    if (exact && raw.size() < n) {  // it was taken back: what was on its way is not there any more
      row.offered = row.at;
      return Step::again;
    }
    return take(f, raw, raw.size() < n, exact);
  }

  /// raw: from the cursor on. ends: there is no more now. exact: it was on its way before a crash or a refusal for lack of room.
  Step take(Followed& f, std::string_view raw, bool ends, bool exact) {
    Cursor& row = f.row;
    const auto encoding = static_cast<Encoding>(row.encoding);
    const bool wide = encoding == Encoding::utf16_little || encoding == Encoding::utf16_big;
    std::string converted;
    if (wide) converted = from_utf16(raw, encoding == Encoding::utf16_big);
    std::string_view text = wide ? std::string_view(converted) : raw;
    const std::size_t mark = row.at == 0 && encoding != Encoding::utf8 && text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    // bytes of the file that the first n of the text took
    const auto taken = [&](std::size_t count) { return wide ? utf16_length(text.substr(0, count)) : count; };
    const auto move_on = [&](std::size_t count) {
      set_at(row, raw.substr(0, taken(count)));
      f.dirty = true;
      f.partial = false;
      return Step::again;
    };
    f.drained = false;
    if (text.size() == mark) return nothing_left(f, false);
    if (row.skipping) {
      const std::size_t nl = text.find('\n');
      row.skipping = nl == std::string_view::npos;
      return move_on(row.skipping ? text.size() : nl + 1);
    }
    if (row.at == 0) row.shape = static_cast<std::int64_t>(shape_of(text.substr(mark)));
    const auto shape = static_cast<Shape>(row.shape);
    Cut cut = whole_records(shape, text.substr(mark));
    cut.from += mark;
    cut.to += mark;
    cut.consumed += cut.consumed == 0 ? 0 : mark;
    const bool zeros = text.find_first_not_of('\0', mark) == std::string_view::npos;
    const bool nothing_whole = cut.consumed == 0 || (only_header(shape, text, cut) && ends && !exact);
    if (exact) {
      if (cut.consumed < text.size()) cut = {mark, text.size(), text.size()};
    } else if (nothing_whole && !ends) {
      if (shape == Shape::lines && zeros) return move_on(text.size());  // a hole left by a truncation
      const std::size_t limit = shape == Shape::lines ? options_.max_record : options_.max_structured;
      if (f.window < limit) {
        f.window = std::min(limit, f.window * 4);
        return Step::again;
      }
      book_.refused(options_.name, "record_too_long", 1,
                    fmt::format("{} at byte {}: more than {} bytes: {}", f.path, row.at, limit, beginning(text)));
      f.window = options_.chunk;
      row.skipping = shape == Shape::lines;
      return move_on(text.size());
    } else if (nothing_whole) {
      const Duration quiet = runtime_.steady() - f.grew;
      const bool final = f.content->packed() ? !still_packing(f.seen) : f.gone && quiet >= options_.rotated_wait;
      if (zeros || (!final && quiet < options_.partial_wait)) return nothing_left(f, !zeros);
      cut = {mark, text.size(), text.size()};
    }
    if (cut.from == cut.to) return move_on(cut.consumed);
    return offer(f, raw, text, cut, taken);
  }

  static bool only_header(Shape shape, std::string_view text, const Cut& cut) {
    if (shape != Shape::lines) return false;
    const std::string_view lines = text.substr(cut.from, cut.to - cut.from);
    return !lines.empty() && header_block(lines).size() == lines.size();
  }

  template <class Taken>
  Step offer(Followed& f, std::string_view raw, std::string_view text, Cut cut, const Taken& taken) {
    Cursor& row = f.row;
    std::string_view records = text.substr(cut.from, cut.to - cut.from);
    Piece piece;
    if (static_cast<Shape>(row.shape) == Shape::lines) {
      if (const auto header = header_block(records); !header.empty() && header.size() <= kMaxContext)
        row.context = header.ends_with('\n') ? header.substr(0, header.size() - 1) : header;
      if (const std::size_t next = next_header(records); next != std::string_view::npos) {
        records = records.substr(0, next);
        cut.consumed = cut.from + next;
      }
      if (!without_zeros(records, piece.bytes)) piece.bytes = records;
      piece.context = row.context;
    } else {
      piece.bytes = as_lines(f, records);
    }
    const std::string_view used = raw.substr(0, taken(cut.consumed));
    f.partial = false;
    f.window = options_.chunk;
    if (piece.bytes.empty()) {
      set_at(row, used);
      f.dirty = true;
      return Step::again;
    }
    Cursor after = row;
    set_at(after, used);
    piece.end = after.at;
    piece.tail_length = after.tail_length;
    piece.tail_hash = after.tail_hash;
    row.offered = piece.end;
    in_flight_ += piece.bytes.size();
    f.busy = true;
    row.updated_us = micros(runtime_.now());
    cursors_.save(options_.name, {row}, {},
                  [weak = weak_from_this(), life = row.life, piece = std::move(piece)](Result<void> stored) mutable {
                    if (const auto core = weak.lock())
                      core->later(Duration{0}, [life, piece = std::move(piece), stored](Core& c) mutable {
                        c.deliver(life, std::move(piece), stored);
                      });
                  });
    return Step::done;
  }

  void set_at(Cursor& row, std::string_view used) {
    row.at += static_cast<std::int64_t>(used.size());
    row.offered = row.at;
    // Of a short piece: its own bytes only. They are enough, the head is checked too.
    if (used.empty()) return;
    row.tail_length = static_cast<std::int64_t>(tail_of(used).size());
    row.tail_hash = hash_of(tail_of(used));
  }

  std::string as_lines(const Followed& f, std::string_view records) {
    return one_a_line(
        records, options_.parsers, options_.max_record, [&](const std::string& reason, std::string_view detail) {
          book_.refused(options_.name, reason, 1, fmt::format("{} after byte {}: {}", f.path, f.row.at, detail));
        });
  }

  void deliver(std::int64_t life, Piece piece, const Result<void>& stored) {
    const auto it = followed_.find(life);
    if (it == followed_.end()) return;
    Followed& f = *it->second;
    if (!stored) {
      in_flight_ -= piece.bytes.size();
      f.busy = false;
      block("the cursors of this source cannot be written: " + to_string(stored.error()));
      return;
    }
    Delivery d;
    d.source = options_.name;
    d.municipality = options_.municipality;
    d.tenant = options_.tenant;
    d.format = options_.format;
    d.context = std::move(piece.context);
    d.id = fmt::format("{:016x}.{}+{}", life, f.row.at, piece.end - f.row.at);
    d.bytes = std::move(piece.bytes);
    piece.bytes.clear();
    const std::size_t size = d.bytes.size();
    const auto lines = static_cast<std::uint64_t>(std::count(d.bytes.begin(), d.bytes.end(), '\n'));
    sink_.deliver(std::move(d), [weak = weak_from_this(), life, piece = std::move(piece), size,
                                 lines](Result<Receipt> receipt) mutable {
      if (const auto core = weak.lock())
        core->later(Duration{0}, [life, piece = std::move(piece), size, lines, receipt = std::move(receipt)](Core& c) {
          c.received(life, piece, size, lines, receipt);
        });
    });
  }

  void received(std::int64_t life, const Piece& piece, std::size_t size, std::uint64_t lines,
                const Result<Receipt>& receipt) {
    in_flight_ -= size;
    const auto it = followed_.find(life);
    if (it == followed_.end()) return;
    Followed& f = *it->second;
    f.busy = false;
    if (!receipt && receipt.error().code == Code::unavailable) {
      block(receipt.error().what);
      return say();
    }
    if (!receipt)
      book_.refused(options_.name, "delivery_refused", std::max<std::uint64_t>(lines, 1),
                    fmt::format("{} at byte {}: {}", f.path, f.row.at, receipt.error().what));
    else late_.saw(receipt->newest_happened, runtime_.now());
    backoff_ = Duration{0};
    blocked_.clear();
    last_success_ = runtime_.now();
    f.row.at = f.row.offered = piece.end;
    f.row.tail_length = piece.tail_length;
    f.row.tail_hash = piece.tail_hash;
    f.dirty = true;
    enqueue(f);
    pump();
    say();
  }

  Step nothing_left(Followed& f, bool partial) {
    f.drained = true;
    f.partial = partial;
    if (f.content->packed() && !partial) {
      f.row.complete = f.dirty = true;
      f.content.reset();
      --open_;
    }
    return Step::done;
  }

  /// The file is another one now under the same inode: truncated in place, or written anew.
  Step begin_again(Followed& f) {
    log::info("file_truncated", {{"source", options_.name}, {"path", f.path}, {"read", f.row.at}});
    Cursor old = f.row;
    old.over = true;
    Cursor row;
    row.life = static_cast<std::int64_t>(runtime_.random_number() >> 1U);
    row.path = f.path;
    row.device = old.device;
    row.inode = old.inode;
    auto in = followed_.extract(old.life);
    in.key() = row.life;
    in.mapped()->row = row;
    in.mapped()->window = options_.chunk;
    in.mapped()->dirty = true;
    followed_.insert(std::move(in));
    by_key_[{row.device, row.inode}] = row.life;
    store({old});
    rest_[old.life] = std::move(old);
    names_changed_ = true;  // a copy of what was there may wait
    return Step::again;
  }

  Step failed(Followed& f, const Error& e) {
    trouble_[f.path] = e.what;
    f.drained = true;  // looked at again when it changes, and at the next scan
    return Step::done;
  }

  Step damaged(Followed& f, const FileStat& st, const Error& e) {
    if (still_packing(st)) {
      f.drained = f.partial = true;  // looked at again when it has grown, or has not for long
      return Step::done;
    }
    book_.refused(options_.name, "file_damaged", 1, fmt::format("{}: {}", f.path, e.what));
    f.row.complete = f.dirty = true;
    return Step::done;
  }

  bool still_packing(const FileStat& st) const {
    return micros(runtime_.now()) - st.modified_us < kStillPacking.count();
  }

  // ---- handles, rows, words ------------------------------------------------------------------------------------------------

  static Key key_of(const FileStat& st) {
    return {static_cast<std::int64_t>(st.device), static_cast<std::int64_t>(st.inode)};
  }

  std::unique_ptr<Content> opened(const std::string& path) {
    auto content = Content::open(runtime_.files(), path);
    if (content) return *std::move(content);
    if (content.error().code == Code::not_found) names_changed_ = true;
    else
      trouble_[path] =
          content.error().what + (content.error().code == Code::forbidden
                                      ? "; let the service's user read it (as a rule: add it to the group adm)"
                                      : "");
    return nullptr;
  }
  std::optional<std::unique_ptr<Content>> open(const std::string& path) {
    auto content = opened(path);
    if (!content) return std::nullopt;
    forget_trouble(path);
    return content;
  }
  void forget_trouble(const std::string& path) { trouble_.erase(path); }

  bool open_again(Followed& f) {
    auto content = opened(f.path);
    if (!content) return false;
    const auto st = content->stat();
    if (!st || key_of(*st) != Key{f.row.device, f.row.inode}) {
      names_changed_ = true;
      return false;
    }
    make_room_for_handle();
    f.content = std::move(content);
    ++open_;
    return true;
  }

  void make_room_for_handle() {
    if (open_ < options_.max_open) return;
    Followed* oldest = nullptr;
    for (auto& [life, f] : followed_)
      if (f->content && !f->busy && !f->gone && (oldest == nullptr || f->used < oldest->used)) oldest = f.get();
    if (oldest == nullptr) return;
    oldest->content.reset();
    --open_;
  }

  void store_row(Followed& f) {
    f.busy = true;
    f.dirty = false;
    f.row.path = f.path;
    f.row.updated_us = micros(runtime_.now());
    cursors_.save(options_.name, {f.row}, {}, [weak = weak_from_this(), life = f.row.life](Result<void> stored) {
      if (const auto core = weak.lock())
        core->later(Duration{0}, [life, stored](Core& c) {
          const auto it = c.followed_.find(life);
          if (it == c.followed_.end()) return;
          it->second->busy = false;
          if (!stored) {
            it->second->dirty = true;
            c.block("the cursors of this source cannot be written: " + to_string(stored.error()));
          } else if (!it->second->drained && !it->second->row.complete) {
            c.enqueue(*it->second);
            c.pump();
          }
        });
    });
  }
  /// What is lost here is found again at the next start.
  void store(std::vector<Cursor> rows, std::vector<std::int64_t> forget = {}) {
    for (Cursor& row : rows) row.updated_us = micros(runtime_.now());
    cursors_.save(options_.name, std::move(rows), std::move(forget), [](Result<void>) {});
  }

  void block(std::string why) {
    blocked_ = std::move(why);
    backoff_ = std::clamp<Duration>(backoff_ * 2, 500ms, 30s);
    blocked_until_ = runtime_.steady() + backoff_;
    if (std::exchange(retry_waits_, true)) return;
    later(backoff_, [](Core& c) {
      c.retry_waits_ = false;
      c.look();
    });
  }

  void say() {
    SourceReport r;
    r.source = options_.name;
    std::int64_t behind = 0;
    for (const auto& [life, f] : followed_)
      if (!f->row.complete && !(f->content && f->content->packed()))
        behind += std::max<std::int64_t>(0, static_cast<std::int64_t>(f->seen.size) - f->row.at);
    r.cursor = fmt::format("{} files, {} bytes to read", followed_.size(), behind);
    if (!trouble_.empty()) {
      r.state = SourceState::failing;
      r.text = fmt::format("{}: {}", trouble_.begin()->first, trouble_.begin()->second);
      if (trouble_.size() > 1) r.text += fmt::format("; and {} more", trouble_.size() - 1);
    } else if (!blocked_.empty()) {
      r.state = SourceState::waiting;
      r.text = blocked_;
    } else if (followed_.empty() && loaded_) {
      r.state = SourceState::waiting;
      r.text = fmt::format("no file matches {}", fmt::join(options_.paths, ", "));
    } else {
      r.state = loaded_ ? SourceState::working : SourceState::starting;
    }
    r.at = runtime_.now();
    r.last_success = last_success_;
    r.lag_seconds = late_.seconds();
    const auto what = std::tie(r.state, r.text);
    if (said_ && what == std::tie(said_->state, said_->text) && r.cursor == said_->cursor &&
        r.last_success == said_->last_success)
      return;
    // Progress is told once in a while, a change of state at once.
    if (said_ && what == std::tie(said_->state, said_->text) && r.at - said_->at < 1s) return;
    said_ = r;
    book_.say(std::move(r));
  }

  Runtime& runtime_;
  const QueueId queue_;
  Sink& sink_;
  SourceBook& book_;
  Cursors& cursors_;
  const FileOptions options_;
  FolderWatch* const watch_;
  int client_ = 0;

  std::mutex mutex_;  // held while a step runs: end() waits for it
  bool stopped_ = false;
  std::atomic<bool> awake_ = false, names_changed_ = false;

  bool retry_waits_ = false, loaded_ = false, new_source_ = false, pumping_ = false;
  std::map<std::int64_t, std::unique_ptr<Followed>> followed_;  // by life
  std::map<Key, std::int64_t> by_key_;
  std::map<std::int64_t, Cursor> rest_;  // lives without a file
  struct Held {
    std::int64_t of = 0;
    std::uint64_t size = 0;
    std::int64_t modified_us = 0;
  };
  std::map<Key, Held> held_;
  std::deque<std::int64_t> ready_;
  std::size_t in_flight_ = 0, open_ = 0;
  Duration scanned_at_{-1};
  Duration blocked_until_{0}, backoff_{0};
  std::string blocked_;
  std::map<std::string, std::string> trouble_;  // path -> why
  Instant last_success_{};
  Lateness late_;
  std::optional<SourceReport> said_;
};

std::unique_ptr<FileSource> FileSource::start(Runtime& runtime, QueueId queue, Sink& sink, SourceBook& book,
                                              Cursors& cursors, FileOptions options, FolderWatch* watch) {
  auto core = std::make_shared<Core>(runtime, queue, sink, book, cursors, std::move(options), watch);
  core->begin();
  return std::unique_ptr<FileSource>(new FileSource(std::move(core)));
}

FileSource::FileSource(std::shared_ptr<Core> core) : core_(std::move(core)) {}
FileSource::~FileSource() {
  core_->end();
}
void FileSource::wake() {
  core_->wake(true);
}

}  // namespace bavn::input::sources::files
