#include "formats/source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "base/utf16.hpp"
#include "formats/bytes.hpp"
#include "jail/archive.hpp"

namespace bavn::formats {

namespace {

// ---- bytes -------------------------------------------------------------------------------------------------------------

class FileBytes final : public Bytes {
 public:
  FileBytes(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~FileBytes() override {
    if (fd_ > 0) ::close(fd_);
  }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  Result<std::size_t> read(char* p, std::size_t n) override {
    for (;;) {
      const ssize_t got = ::read(fd_, p, n);
      if (got > 0) at_ += got;
      if (got == 0 && shrunk())
        return fail(Code::unavailable,
                    fmt::format("it became shorter while it was read: {} bytes were read, what followed is gone", at_),
                    path_);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      return fail(Code::unavailable, fmt::format("cannot read on: {}", std::strerror(errno)), path_);
    }
  }

 private:
  bool shrunk() const {
    struct stat st{};
    return ::fstat(fd_, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < at_;
  }
  int fd_;
  std::string path_;
  off_t at_ = 0;
};

// What could not even be opened: the reason comes out when it is read, so that its neighbours in an archive are read too.
class Failing final : public Bytes {
 public:
  explicit Failing(Error e) : error_(std::move(e)) {}
  Result<std::size_t> read(char*, std::size_t) override { return std::unexpected(error_); }

 private:
  Error error_;
};

class MemoryBytes final : public Bytes {
 public:
  explicit MemoryBytes(std::string_view b, std::shared_ptr<const std::string> owner = nullptr)
      : bytes_(b), owner_(std::move(owner)) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    n = std::min(n, bytes_.size());
    std::memcpy(p, bytes_.data(), n);
    bytes_.remove_prefix(n);
    return n;
  }
  std::string_view rest() const override { return bytes_; }
  void skip(std::size_t n) override { bytes_.remove_prefix(n); }

 private:
  std::string_view bytes_;
  std::shared_ptr<const std::string> owner_;  // null: the caller keeps the bytes
};

// What was read ahead to know the kind, then the rest.
class Joined final : public Bytes {
 public:
  Joined(std::string head, std::unique_ptr<Bytes> rest) : head_(std::move(head)), rest_(std::move(rest)) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    if (at_ < head_.size()) {
      n = std::min(n, head_.size() - at_);
      std::memcpy(p, head_.data() + at_, n);
      at_ += n;
      return n;
    }
    return rest_->read(p, n);
  }

 private:
  std::string head_;
  std::size_t at_ = 0;
  std::unique_ptr<Bytes> rest_;
};

class GzipBytes final : public Bytes {
 public:
  GzipBytes(std::unique_ptr<Bytes> in, std::string path)
      : in_(std::move(in)), path_(std::move(path)), buffer_(64U << 10) {
    good_ = inflateInit2(&z_, 15 + 32) == Z_OK;
  }
  ~GzipBytes() override { inflateEnd(&z_); }
  GzipBytes(const GzipBytes&) = delete;
  GzipBytes& operator=(const GzipBytes&) = delete;
  Result<std::size_t> read(char* p, std::size_t n) override {
    if (!good_) return fail(Code::unavailable, "no memory for gzip", path_);
    if (broken_) return std::unexpected(*broken_);
    z_.next_out = reinterpret_cast<Bytef*>(p);
    z_.avail_out = static_cast<uInt>(n);
    const auto broken = [&](const char* what) -> Result<std::size_t> {
      broken_ = Error{Code::corrupt, what, path_};
      if (z_.avail_out != n) return n - z_.avail_out;  // what was unpacked so far comes first
      return std::unexpected(*broken_);
    };
    while (z_.avail_out == n) {
      if (z_.avail_in == 0) {
        BAVN_TRY(const std::size_t got, in_->read(buffer_.data(), buffer_.size()));
        if (got == 0) return open_ ? broken("the gzip data ends in the middle") : Result<std::size_t>(std::size_t{0});
        z_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        z_.avail_in = static_cast<uInt>(got);
      }
      if (!open_) {
        if (z_.next_in[0] == 0) {  // padding after a member
          ++z_.next_in;
          --z_.avail_in;
          continue;
        }
        if (z_.next_in[0] != 0x1F)
          return broken("after the gzip data follows something that is no gzip; it was not read");
        inflateReset(&z_);
        open_ = true;
      }
      const int rc = inflate(&z_, Z_NO_FLUSH);
      if (rc == Z_STREAM_END) open_ = false;
      else if (rc != Z_OK && rc != Z_BUF_ERROR) return broken("the gzip data is damaged; what follows was not read");
    }
    return n - z_.avail_out;
  }

 private:
  std::unique_ptr<Bytes> in_;
  std::string path_;
  std::vector<char> buffer_;
  z_stream z_{};
  bool good_ = false, open_ = true;
  std::optional<Error> broken_;
};

class ZstdBytes final : public Bytes {
 public:
  ZstdBytes(std::unique_ptr<Bytes> in, std::string path)
      : in_(std::move(in)), path_(std::move(path)), buffer_(128U << 10), d_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(d_, ZSTD_d_windowLogMax, 27);  // 128 MiB: bounded memory whatever the frame asks for
  }
  ~ZstdBytes() override { ZSTD_freeDStream(d_); }
  ZstdBytes(const ZstdBytes&) = delete;
  ZstdBytes& operator=(const ZstdBytes&) = delete;
  Result<std::size_t> read(char* p, std::size_t n) override {
    if (broken_) return std::unexpected(*broken_);
    ZSTD_outBuffer out{p, n, 0};
    while (out.pos == 0) {
      if (pos_ == size_) {
        BAVN_TRY(size_, in_->read(buffer_.data(), buffer_.size()));
        pos_ = 0;
        if (size_ == 0) {
          if (left_ != 0) return broken("the zstd data ends in the middle");
          return std::size_t{0};
        }
      }
      ZSTD_inBuffer in{buffer_.data(), size_, pos_};
      left_ = ZSTD_decompressStream(d_, &out, &in);
      pos_ = in.pos;
      if (ZSTD_isError(left_) != 0)
        return broken(
            fmt::format("the zstd data is damaged ({}); what follows was not read", ZSTD_getErrorName(left_)));
    }
    return out.pos;
  }

 private:
  std::unexpected<Error> broken(std::string what) {
    broken_ = Error{Code::corrupt, std::move(what), path_};
    return std::unexpected(*broken_);
  }
  std::unique_ptr<Bytes> in_;
  std::string path_;
  std::vector<char> buffer_;
  ZSTD_DStream* d_;
  std::size_t pos_ = 0, size_ = 0, left_ = 0;
  std::optional<Error> broken_;
};

// UTF-16 as Windows tools write it, to UTF-8. A lone surrogate becomes U+FFFD.
class Utf16Bytes final : public Bytes {
 public:
  Utf16Bytes(std::unique_ptr<Bytes> in, bool big_endian) : in_(std::move(in)), big_(big_endian) {}

  Result<std::size_t> read(char* p, std::size_t n) override {
    while (at_ == out_.size()) {
      if (done_) return std::size_t{0};
      BAVN_CHECK(convert());
    }
    n = std::min(n, out_.size() - at_);
    std::memcpy(p, out_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  Result<void> convert() {
    out_.clear();
    at_ = 0;
    const std::size_t kept = raw_.size();
    raw_.resize(kept + (64U << 10));
    auto got = in_->read(raw_.data() + kept, 64U << 10);
    raw_.resize(kept + (got ? *got : 0));
    if (!got) return std::unexpected(got.error());
    done_ = *got == 0;
    std::size_t whole = raw_.size() / 2 * 2;
    // A pair of surrogates is not cut in two.
    if (!done_ && whole != 0 && (static_cast<unsigned char>(raw_[whole - (big_ ? 2 : 1)]) & 0xFCU) == 0xD8) whole -= 2;
    out_ = from_utf16(std::string_view(raw_).substr(0, whole), big_);
    raw_.erase(0, whole);
    if (done_ && !raw_.empty()) append_utf8(out_, 0xFFFD);  // cut in the middle of a character
    return {};
  }

  std::unique_ptr<Bytes> in_;
  bool big_, done_ = false;
  std::string raw_, out_;
  std::size_t at_ = 0;
};

/// "Record 12" on a line of its own, as evtx_dump writes before each event.
bool is_dump_mark(std::string_view line) {
  line = trim(line);
  return line.starts_with("Record ") && line.size() > 7 && line.size() < 28 &&
         line.find_first_not_of("0123456789", 7) == std::string_view::npos;
}

// The output of evtx_dump: an empty line for each "Record 12" and the XML declaration behind it, so that what is left is events.
class DumpBytes final : public Bytes {
 public:
  explicit DumpBytes(std::unique_ptr<Bytes> in) : in_(std::move(in)) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    while (at_ == ready_.size()) {
      if (done_ && failed_) return std::unexpected(*failed_);
      if (done_) return std::size_t{0};
      more();
    }
    n = std::min(n, ready_.size() - at_);
    std::memcpy(p, ready_.data() + at_, n);
    at_ += n;
    return n;
  }
  std::vector<event::Refusal> take_refusals() override { return in_->take_refusals(); }

 private:
  static constexpr std::size_t kBlock = 256U << 10;

  void more() {
    ready_.clear();
    at_ = 0;
    const std::size_t start = raw_.size();
    raw_.resize(start + kBlock);
    auto got = in_->read(raw_.data() + start, kBlock);
    raw_.resize(start + (got ? *got : 0));
    done_ = !got || *got == 0;
    if (!got) failed_ = got.error();
    std::string_view rest(raw_);
    for (;;) {
      const std::size_t end = rest.find('\n');
      // A line that is not whole waits, unless it is too long to be a mark.
      if (end == std::string_view::npos && !done_ && (rest.size() < 512 && !inside_)) break;
      if (rest.empty()) break;
      const std::string_view line = rest.substr(0, end);
      const bool mark = !inside_ && is_dump_mark(line);
      const bool declaration = !inside_ && after_mark_ && trim(line).starts_with("<?xml") && trim(line).ends_with("?>");
      if (!mark && !declaration) ready_ += line;
      if (end != std::string_view::npos) ready_ += '\n';
      after_mark_ = mark;
      inside_ = end == std::string_view::npos;
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    raw_.erase(0, raw_.size() - rest.size());
  }

  std::unique_ptr<Bytes> in_;
  std::string raw_, ready_;
  std::size_t at_ = 0;
  bool done_ = false, after_mark_ = false, inside_ = false;  // inside_: of a line whose beginning was handed on
  std::optional<Error> failed_;
};

// Windows events as XML: parts of whole events go through the jail and come out as one JSON object a line.
class XmlBytes final : public Bytes {
 public:
  XmlBytes(std::unique_ptr<Bytes> in, jail::Parsers& parsers, std::string_view mark)
      : in_(std::move(in)), parsers_(parsers), mark_(mark), open_(wide("<Event")), close_(wide("</Event>")) {}

  Result<std::size_t> read(char* p, std::size_t n) override {
    while (at_ == ready_.size()) {
      if (done_ && failed_) return std::unexpected(*failed_);
      if (done_) return std::size_t{0};
      BAVN_CHECK(next_part());
    }
    n = std::min(n, ready_.size() - at_);
    std::memcpy(p, ready_.data() + at_, n);
    at_ += n;
    return n;
  }
  std::vector<event::Refusal> take_refusals() override { return std::exchange(refusals_, {}); }

 private:
  static constexpr std::size_t kPart = 8U << 20;

  std::string wide(std::string_view ascii) const {
    if (mark_.empty()) return std::string(ascii);
    std::string out;
    for (char c : ascii) {
      if (mark_ == "\xFE\xFF") out += '\0';
      out += c;
      if (mark_ == "\xFF\xFE") out += '\0';
    }
    return out;
  }

  Result<void> next_part() {
    ready_.clear();
    at_ = 0;
    std::size_t end = std::string::npos;
    while (!done_ && (raw_.size() < kPart || (end = raw_.rfind(close_)) == std::string::npos)) {
      if (raw_.size() > 2 * kPart) break;  // no event is that large: the reader in the jail says so
      const std::size_t start = raw_.size();
      raw_.resize(start + (1U << 20));
      auto got = in_->read(raw_.data() + start, 1U << 20);
      raw_.resize(start + (got ? *got : 0));
      done_ = !got || *got == 0;
      if (!got) failed_ = got.error();  // the events before it come first
    }
    // From the first event to the end of the last: what wraps them would be half in one part and half in another.
    std::string_view part(raw_);
    if (!done_) part = part.substr(0, end == std::string::npos ? raw_.size() : end + close_.size());
    const std::size_t used = part.size();
    if (done_) {
      const std::size_t last = part.rfind(close_), cut = last == std::string_view::npos ? 0 : last + close_.size();
      if (part.find(open_, cut) == std::string_view::npos) part = part.substr(0, cut);
    }
    const std::string wrapper = wide("<Events");
    std::size_t first = part.find(open_);
    while (first != std::string_view::npos && part.substr(first).starts_with(wrapper))
      first = part.find(open_, first + wrapper.size());
    part = first == std::string_view::npos ? std::string_view() : part.substr(first);
    if (!part.empty()) {
      auto lines = parsers_.run(jail::Task::xml_events, mark_.empty() ? std::string(part) : mark_ + std::string(part));
      if (!lines && lines.error().code == Code::unavailable) return std::unexpected(lines.error());
      if (lines) take(*lines);
      else refuse(lines.error().what);  // this part is lost, the next may be well
    }
    raw_.erase(0, used);
    if (done_ && line_ == 1 && !refused_any_) refuse("XML without any whole <Event>");
    return {};
  }

  void refuse(std::string detail) {
    event::Refusal r;
    r.line = line_;
    r.reason = "xml_broken";
    r.detail = std::move(detail);
    refusals_.push_back(std::move(r));
    refused_any_ = true;
  }

  void take(std::string_view lines) {
    while (!lines.empty()) {
      const std::size_t end = lines.find('\n');
      const std::string_view line = lines.substr(0, end);
      if (line.starts_with("{\"#refused\"")) {
        const std::size_t why = line.find("\"reason\":\"");
        refuse(why == std::string_view::npos ? "" : std::string(line.substr(why + 10, line.size() - why - 13)));
      } else {
        ready_ += line;
        ready_ += '\n';
        ++line_;
      }
      lines.remove_prefix(end + 1);
    }
  }

  std::unique_ptr<Bytes> in_;
  jail::Parsers& parsers_;
  std::string mark_, open_, close_;  // the byte order mark of UTF-16, or nothing
  std::string raw_, ready_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
  bool done_ = false, refused_any_ = false;
  std::optional<Error> failed_;
  std::vector<event::Refusal> refusals_;
};

// ---- records -----------------------------------------------------------------------------------------------------------

// Lists that APIs and exports put their records in; only before any nested member, so that a record's own list is not taken for one.
constexpr std::array<std::string_view, 6> kEnvelopes = {"value", "records", "Records", "events", "Events", "expected"};

/// The object under "_source" in a search hit of Elasticsearch or OpenSearch, {"_index":...,"_source":{...}}: that is the record; else all.
std::string_view source_of_hit(std::string_view record) {
  if (!record.starts_with('{')) return record;
  std::size_t at = 1, depth = 1, from = 0;
  bool index = false, in_string = false;
  std::size_t string_from = 0;
  std::string_view key;
  for (; at < record.size(); ++at) {
    const char c = record[at];
    if (in_string) {
      if (c == '\\') ++at;
      else if (c == '"') {
        in_string = false;
        key = record.substr(string_from, at - string_from);
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
      string_from = at + 1;
    } else if (c == ':' && depth == 1) {
      index = index || key == "_index";
    } else if (c == '{' || c == '[') {
      if (c == '{' && depth == 1 && key == "_source" && index) from = at;
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
      if (depth == 1 && from != 0) return record.substr(from, at + 1 - from);
    }
  }
  return record;
}

// Splits a JSON text that does not keep one record a line. Feed bytes; whole top-level records (the elements of a top-level array,
// or of an envelope's array) come out on one line each.
class Splitter {
 public:
  explicit Splitter(std::size_t max_record) : max_(max_record) {}

  /// Appends finished records with '\n' to out; returns false when the text is no JSON structure.
  /// A record that is broken is refused; it goes on where the next line begins as records here begin.
  bool feed(std::string_view bytes, std::string& out, event::EventBatch& batch, std::uint64_t& record) {
    for (char c : bytes) {
      ++fed_;
      if (raw_.size() < max_ * 2) raw_ += c;
      const bool space = c == ' ' || c == '\t';
      if (c == '\n') begin_line();
      else if (space && at_line_start_) ++indent_;
      if (skipping_ && !found_again(c)) {
        if (!space) at_line_start_ = at_line_start_ && c == '\n';
        continue;
      }
      if (!take(c, out, batch, record)) {
        if (!can_go_on()) return false;
        refuse_record(out, batch, record);
        if (found_again(c) && !take(c, out, batch, record)) return false;
      }
      if (!space && c != '\n') at_line_start_ = false;
    }
    return true;
  }
  /// After feed() failed: what was fed since the last whole record, to be read again line by line.
  std::string take_back() { return std::move(raw_); }
  std::size_t fed() const { return fed_; }
  bool unfinished() const { return depth_ != 0 && !skipping_; }

 private:
  bool take(char c, std::string& out, event::EventBatch& batch, std::uint64_t& record) {
    if (in_string_) {
      if (c == '\n') return false;  // no JSON string holds one: the string is not closed
      if (escape_) escape_ = false;
      else if (c == '\\') escape_ = true;
      else if (c == '"') in_string_ = false;
      keep(c);
      if (!recording_ && !in_string_ && depth_ == base_) key_done();
      return true;
    }
    switch (c) {
      case '"':
        if (depth_ == 0) return false;
        if (!recording_) key_.clear();
        keep(c);
        in_string_ = true;
        break;
      case '{':
      case '[':
        if (!open(c)) return false;
        break;
      case '}':
      case ']':
        if (depth_ == 0 || (c == '}') != (stack_[depth_ - 1] == '{')) return false;
        --depth_;
        if (depth_ < list_depth_) list_depth_ = 0;
        if (recording_ && depth_ == record_from_) {
          keep(c);
          emit(out, batch, record);
          recording_ = false;
        } else if (!recording_ && depth_ == 0 && c == '}' && possible_envelope_ && base_ == 1) {
          // an ordinary object
          spill_ += c;
          record_.swap(spill_);
          emit(out, batch, record);
          spill_.clear();
          possible_envelope_ = false;
        } else {
          if (!recording_ && depth_ < base_) base_ = depth_;
          keep(c);
        }
        break;
      case '\n':
      case '\r':
      case ' ':
      case '\t': return true;
      default:
        if (depth_ == 0 && c != ',') return false;
        keep(c);
    }
    last_ = c;
    return true;
  }

  bool open(char c) {
    // In an object a value stands after a colon: a bracket elsewhere means that lines were taken for one record.
    if (depth_ >= 500 || (depth_ > 0 && stack_[depth_ - 1] == '{' && last_ != ':')) return false;
    if (depth_ == 0) {
      top_ = c;
      top_indent_ = at_line_start_ ? indent_ : kNoIndent;
      list_depth_ = 0;
    }
    if (!recording_) {
      if (c == '[' && (depth_ == 0 || (depth_ == 1 && stack_[0] == '{' && !nested_ && envelope_key()) ||
                       (depth_ == 2 && in_hits_ && key_ == "hits"))) {
        // a list of records
        spill_.clear();
        possible_envelope_ = false;
        stack_[depth_++] = c;
        base_ = list_depth_ = depth_;
        record_indent_ = kNoIndent;
        return true;
      }
      if (c == '[' && list_depth_ != 0 && depth_ == list_depth_) return false;  // records are objects
      if (c == '{' && depth_ == 0) {
        // an object: a record, unless it turns out to be an envelope
        stack_[depth_++] = c;
        base_ = depth_;
        spill_ = "{";
        possible_envelope_ = true;
        nested_ = in_hits_ = false;
        return true;
      }
      if (c == '{' && depth_ == base_ && stack_[depth_ - 1] == '[') {
        recording_ = true;
        record_.clear();
        record_from_ = depth_;
        if (at_line_start_) record_indent_ = indent_;  // else the broken one before it runs on
      } else {
        nested_ = true;
        if (depth_ == 1) in_hits_ = c == '{' && key_ == "hits";  // {"took":3,"hits":{"total":...,"hits":[
      }
    }
    stack_[depth_++] = c;
    keep(c);
    return true;
  }

  void begin_line() {
    // An indented line inside a record: it is pretty-printed, and a broken one is not a line of its own.
    pretty_ = pretty_ || (indent_ > 0 && depth_ > 0);
    at_line_start_ = true;
    indent_ = 0;
  }
  // Lines that each hold a record are better read one by one, from the first that is broken on; all else is resumed here.
  bool can_go_on() const { return emitted_ || pretty_ || (at_line_start_ && indent_ > 0); }
  void refuse_record(std::string& out, event::EventBatch& batch, std::uint64_t& record) {
    event::Refusal r;
    r.line = record++;
    r.reason = "json_structure_broken";
    const std::string_view text = trim(std::string_view(raw_).substr(0, 120));
    r.detail = is_valid_utf8(text) ? std::string(text) : repair_utf8(text);
    batch.refusals.push_back(std::move(r));
    out += '\n';
    skipping_ = true;
    in_string_ = escape_ = recording_ = too_long_ = possible_envelope_ = false;
    record_.clear();
    spill_.clear();
    raw_.clear();
  }
  // While a broken record is skipped: does c, the first of its line, begin the next? The structure is then that around it.
  bool found_again(char c) {
    if (!at_line_start_ || c == ' ' || c == '\t' || c == '\n') return false;
    const bool in_list = list_depth_ != 0 && c == '{' && indent_ == record_indent_;
    if (!in_list && (c != top_ || indent_ != top_indent_)) return false;
    depth_ = in_list ? list_depth_ : 0;
    base_ = depth_;
    if (in_list) {
      stack_[depth_ - 1] = '[';
      if (depth_ > 1) stack_[0] = stack_[depth_ - 2] = '{';
    }
    last_ = ',';
    nested_ = skipping_ = false;
    raw_.assign(1, c);
    return true;
  }

  bool envelope_key() const {
    std::string_view k = last_key_;
    return std::find(kEnvelopes.begin(), kEnvelopes.end(), k) != kEnvelopes.end();
  }
  void key_done() { last_key_ = key_; }
  void keep(char c) {
    if (recording_) {
      if (record_.size() < max_) record_ += c;
      else too_long_ = true;
      return;
    }
    if (in_string_ && key_.size() < 100) key_ += c;
    if (possible_envelope_) {
      if (spill_.size() < max_) spill_ += c;
      else too_long_ = true;
    }
  }
  void emit(std::string& out, event::EventBatch& batch, std::uint64_t& record) {
    if (too_long_) {
      event::Refusal r;
      r.line = record;
      r.reason = "record_too_long";
      r.detail = fmt::format("more than {} bytes", max_);
      batch.refusals.push_back(std::move(r));
      out += '\n';
    } else {
      out += source_of_hit(record_);
      out += '\n';
    }
    ++record;
    too_long_ = false;
    emitted_ = true;
    record_.clear();
    raw_.clear();
  }

  std::size_t max_;
  std::array<char, 512> stack_{};
  std::size_t depth_ = 0, base_ = 0, record_from_ = 0;
  bool in_string_ = false, escape_ = false, recording_ = false, too_long_ = false, possible_envelope_ = false,
       nested_ = false, in_hits_ = false;
  char last_ = 0;
  // How records begin here, to find the next after a broken one.
  static constexpr std::size_t kNoIndent = ~std::size_t{0};
  bool at_line_start_ = true, skipping_ = false, emitted_ = false, pretty_ = false;
  char top_ = 0;            // what the outermost structure begins with
  std::size_t indent_ = 0;  // of the current line, so far
  std::size_t top_indent_ = kNoIndent, record_indent_ = kNoIndent,
              list_depth_ = 0;  // list_depth_: inside the list of records; 0: none
  std::size_t fed_ = 0;
  std::string record_, spill_, key_, last_key_, raw_;
};

// Where the object that begins a line ends, 0 when it does not: cloud services deliver objects with nothing between them.
std::size_t end_of_object(std::string_view line) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      else in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return 0;
}

}  // namespace

bool looks_structured(std::string_view head) {
  // The first line that is not empty: a lone bracket, or an object or array left open at its end, or [{...
  std::size_t at = 0;
  while (at < head.size() && (head[at] == ' ' || head[at] == '\t' || head[at] == '\r' || head[at] == '\n')) ++at;
  if (at == head.size() || (head[at] != '{' && head[at] != '[')) return false;
  const std::size_t nl = head.find('\n', at);
  std::string_view line = trim(head.substr(at, nl == std::string_view::npos ? nl : nl - at));
  if (line[0] == '[') {
    // an array of objects, not a log line that begins with [date] or an INI section
    std::size_t i = at + 1;
    while (i < head.size() && (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t')) ++i;
    return i < head.size() && (head[i] == '{' || head[i] == ']');
  }
  if (line == "{") return true;
  // Nothing but objects without line ends between them. In a file of lines one such line is torn, and only that one is lost.
  if (nl == std::string_view::npos || trim(head.substr(nl)).empty())
    if (const std::size_t end = end_of_object(line);
        end != 0 && end < line.size() && trim(line.substr(end)).front() == '{')
      return true;
  if (nl != std::string_view::npos && (line.back() == '{' || line.back() == '[' || line.back() == ',')) return true;
  // an envelope on one line
  std::size_t i = 1;
  while (i < line.size() && line[i] == ' ') ++i;
  for (std::string_view e : kEnvelopes) {
    if (i + e.size() + 2 < line.size() && line[i] == '"' && line.substr(i + 1, e.size()) == e &&
        line[i + 1 + e.size()] == '"') {
      std::size_t j = i + 2 + e.size();
      while (j < line.size() && (line[j] == ':' || line[j] == ' ')) ++j;
      if (j < line.size() && line[j] == '[') {
        ++j;
        while (j < line.size() && line[j] == ' ') ++j;
        return j == line.size() || line[j] == '{' || line[j] == ']';
      }
    }
  }
  // What stands before the list in the answers of services: paging and counts. And hits, with or without their envelope.
  constexpr std::array<std::string_view, 12> kBefore = {
      "@odata.context", "@odata.count", "@odata.nextLink", "odata.metadata", "nextLink",   "NextPageUri",
      "NextToken",      "count",        "totalCount",      "took",           "_scroll_id", "_index"};
  const std::size_t quote = line.find('"', i + 1);
  return i < line.size() && line[i] == '"' && quote != std::string_view::npos &&
         std::find(kBefore.begin(), kBefore.end(), line.substr(i + 1, quote - i - 1)) != kBefore.end();
}

namespace {

// std::count is one byte a step at -O2; SSE2 is part of every amd64. Four sums, so that none waits for another.
std::uint64_t count_lines(std::string_view s) {
  std::uint64_t n = 0;
  std::size_t i = 0;
#if defined(__SSE2__)
  const __m128i nl = _mm_set1_epi8('\n'), zero = _mm_setzero_si128();
  while (i + 64 <= s.size()) {
    __m128i sums[4] = {zero, zero, zero, zero};
    for (int k = 0; k < 255 && i + 64 <= s.size(); ++k, i += 64)
      for (int j = 0; j < 4; ++j) {
        const auto* at = reinterpret_cast<const __m128i*>(s.data() + i + std::size_t{16} * static_cast<unsigned>(j));
        sums[j] = _mm_sub_epi8(sums[j], _mm_cmpeq_epi8(_mm_loadu_si128(at), nl));
      }
    for (const __m128i sum : sums) {
      const __m128i total = _mm_sad_epu8(sum, zero);
      n += static_cast<std::uint64_t>(_mm_cvtsi128_si64(total)) +
           static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_srli_si128(total, 8)));
    }
  }
#endif
  for (; i < s.size(); ++i) n += s[i] == '\n';
  return n;
}

class LineSource final : public Source {
 public:
  LineSource(std::unique_ptr<Bytes> in, SourceOptions options, std::int64_t modified)
      : in_(std::move(in)), options_(options), modified_(modified) {}

  Result<Chunk> next(event::EventBatch& batch) override {
    auto chunk = read_chunk(batch);
    if (chunk && chunk->from == chunk->to && batch.refusals.empty() && carry_.empty() && failed_)
      chunk = std::unexpected(*std::exchange(failed_, std::nullopt));
    for (event::Refusal& r : in_->take_refusals()) batch.refusals.push_back(std::move(r));
    return chunk;
  }
  bool done() const override { return started_ && eof_ && carry_.empty() && !failed_; }
  void read_lines(std::uint64_t n) override {
    if (std::exchange(waits_, false)) line_ += n;
  }
  std::uint64_t bytes_read() const override { return bytes_; }
  std::int64_t modified_us() const override { return modified_; }

 private:
  Result<Chunk> read_chunk(event::EventBatch& batch) {
    BAVN_ASSERT(!waits_);  // for read_lines()
    batch.clear();
    Chunk chunk;
    chunk.first_line = line_;
    if (!started_) {
      started_ = true;
      constexpr std::size_t kHead = 64U << 10;
      std::string_view head = in_->rest().substr(0, kHead);
      if (head.empty()) {
        fill(carry_, kHead);
        if (carry_.starts_with("\xEF\xBB\xBF")) carry_.erase(0, 3);
        head = carry_;
      } else if (head.starts_with("\xEF\xBB\xBF")) {
        take(3);
        head.remove_prefix(3);
      }
      if (!options_.only_lines && looks_structured(head)) splitter_ = std::make_unique<Splitter>(options_.max_record);
    }
    if (splitter_) return structured(batch, chunk);
    if (carry_.empty() && lend(batch)) {
      chunk.to = batch.raw.size();
      count(batch.raw);
      return chunk;
    }
    std::string& raw = batch.raw.own();
    raw.swap(carry_);
    carry_.clear();
    for (;;) {
      const std::size_t before = raw.size();
      if (!eof_) fill(raw, options_.chunk);
      if (eof_) break;
      if (raw.find('\n', before) != std::string::npos || (before > 0 && raw.rfind('\n') != std::string::npos)) break;
      if (raw.size() > options_.max_record) {
        // a line beyond any limit: forget its bytes, say so, go on after its end
        event::Refusal r;
        r.line = line_++;
        r.reason = "record_too_long";
        std::uint64_t length = raw.size();
        skip_line(length);
        r.detail = fmt::format("{} bytes, the limit is {}", length, options_.max_record);
        batch.refusals.push_back(std::move(r));
        raw.clear();
        raw.swap(carry_);
        chunk.first_line = line_;
        if (eof_ && raw.empty()) break;
      }
    }
    std::size_t end = raw.size();
    if (!eof_) {
      end = raw.rfind('\n') + 1;
      carry_.assign(raw, end);
      raw.resize(end);
    }
    chunk.to = end;
    count(raw);
    return chunk;
  }

  // Whole lines that already lie in memory stay where they are. The last ones do not: behind them nothing may be read.
  bool lend(event::EventBatch& batch) {
    const std::string_view rest = in_->rest();
    if (rest.size() < options_.chunk + event::RawBytes::kPadding) return false;
    const std::size_t end = rest.rfind('\n', options_.chunk - 1);
    if (end == std::string_view::npos) return false;
    batch.raw.lend(rest.substr(0, end + 1));
    take(end + 1);
    return true;
  }

  void take(std::size_t n) {
    in_->skip(n);
    bytes_ += n;
  }

  void count(std::string_view lines) {
    if (options_.lines_are_told) waits_ = !lines.empty();
    else line_ += count_lines(lines);
  }

  void fill(std::string& to, std::size_t n) {
    const std::size_t start = to.size();
    to.resize_and_overwrite(start + n, [&](char*, std::size_t) { return start + n; });  // not filled: read() does
    std::size_t got = 0;
    while (got < n) {
      auto r = in_->read(to.data() + start + got, n - got);
      if (!r) {
        to.resize(start + got);
        eof_ = true;
        failed_ = r.error();  // what was read is delivered first
        return;
      }
      if (*r == 0) {
        eof_ = true;
        break;
      }
      got += *r;
      bytes_ += *r;
    }
    to.resize(start + got);
  }

  void skip_line(std::uint64_t& length) {
    std::string block;
    while (!eof_) {
      block.clear();
      fill(block, options_.chunk);
      const std::size_t nl = block.find('\n');
      length += nl == std::string::npos ? block.size() : nl;
      if (nl != std::string::npos) {
        carry_.assign(block, nl + 1);
        return;
      }
    }
  }

  Result<Chunk> structured(event::EventBatch& batch, Chunk chunk) {
    std::string block;
    std::string undone;
    std::string& raw = batch.raw.own();
    while (raw.size() < options_.chunk) {
      block.clear();
      if (!carry_.empty()) {
        block.swap(carry_);
      } else {
        if (eof_) break;
        fill(block, options_.chunk);
        if (block.empty()) break;
      }
      const std::size_t fed = splitter_->fed();
      if (!splitter_->feed(block, raw, batch, line_)) {
        // not what it seemed: from the last whole record on it is read line by line
        carry_ = splitter_->take_back();
        carry_.append(block, std::min(splitter_->fed() - fed, block.size()));
        splitter_.reset();
        break;
      }
    }
    if (splitter_ && eof_ && carry_.empty() && splitter_->unfinished()) {
      event::Refusal r;
      r.line = line_;
      r.reason = "json_unfinished";
      r.detail = "the file ends in the middle of a record";
      batch.refusals.push_back(std::move(r));
    }
    chunk.to = raw.size();
    return chunk;
  }

  std::unique_ptr<Bytes> in_;
  SourceOptions options_;
  std::int64_t modified_;
  std::unique_ptr<Splitter> splitter_;
  std::string carry_;
  std::uint64_t line_ = 1, bytes_ = 0;
  bool started_ = false, eof_ = false;
  bool waits_ = false;  // to be told how many lines the last chunk had
  std::optional<Error> failed_;
};

Result<std::string> read_head(Bytes& in, std::size_t n) {
  std::string head(n, '\0');
  std::size_t have = 0;
  while (have < n) {
    auto got = in.read(head.data() + have, n - have);
    if (!got && have == 0) return std::unexpected(got.error());
    if (!got || *got == 0) break;  // an error comes again with the next read
    have += *got;
  }
  head.resize(have);
  return head;
}

bool is_archive(std::string_view head) {
  return head.starts_with("PK\x03\x04") || head.starts_with("PK\x05\x06") || head.starts_with("7z\xBC\xAF\x27\x1C") ||
         head.starts_with("BZh") ||
         head.starts_with(std::string_view("\xFD"
                                           "7zXZ\0",
                                           6)) ||
         (head.size() > 262 && head.substr(257, 5) == "ustar");
}

}  // namespace

std::optional<std::string> xml_events_mark(std::string_view head) {
  const std::string mark(head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF") ? head.substr(0, 2)
                                                                                      : std::string_view());
  std::string narrow;
  if (mark.empty()) {
    narrow = head.starts_with("\xEF\xBB\xBF") ? head.substr(3) : head;
  } else {
    for (char c : head.substr(2))
      if (c != '\0') narrow += c;
  }
  const std::string_view text = trim(narrow);
  if (!text.starts_with("<?xml") && !text.starts_with("<Event")) return std::nullopt;
  std::size_t after = text.find("<Event");
  if (after == std::string_view::npos) return std::nullopt;
  after += text.substr(after).starts_with("<Events") ? 7 : 6;
  if (after >= text.size() || std::string_view(" >\t\r\n").find(text[after]) == std::string_view::npos)
    return std::nullopt;
  return mark;
}

namespace {

// UTF-16 by its byte order mark, or, without one, text whose every other byte is zero; true: big endian.
std::optional<bool> utf16_big_endian(std::string_view head) {
  if (head.starts_with(std::string_view("\xFF\xFE\0\0", 4))) return std::nullopt;  // UTF-32
  if (head.starts_with("\xFF\xFE")) return false;
  if (head.starts_with("\xFE\xFF")) return true;
  const std::size_t pairs = std::min<std::size_t>(head.size(), 512) / 2;
  std::size_t even = 0, odd = 0;
  for (std::size_t i = 0; i < pairs; ++i) {
    even += head[2 * i] == '\0';
    odd += head[2 * i + 1] == '\0';
  }
  if (pairs < 4 || (even != 0) == (odd != 0) || std::max(even, odd) * 10 < pairs * 9) return std::nullopt;
  return even != 0;
}

// Undoes gzip and zstd (one inside the other too), then XML and UTF-16: a stream of lines.
}  // namespace

Result<std::unique_ptr<Bytes>> unpacked(std::unique_ptr<Bytes> in, const std::string& path) {
  constexpr int kLayers = 3;
  std::string inner;
  for (int layer = 0;; ++layer) {
    BAVN_TRY(inner, read_head(*in, 4));
    const std::string_view head = inner;
    const bool gzip = head.starts_with("\x1F\x8B"), zstd = head.starts_with("\x28\xB5\x2F\xFD");
    in = std::make_unique<Joined>(std::move(inner), std::move(in));
    if (!gzip && !zstd) return in;
    if (layer == kLayers) return fail(Code::bad_input, "compressed more than three times over", path);
    if (gzip) in = std::make_unique<GzipBytes>(std::move(in), path);
    else in = std::make_unique<ZstdBytes>(std::move(in), path);
  }
}

namespace {

Result<std::unique_ptr<Bytes>> decoded(std::unique_ptr<Bytes> in, const std::string& path, const SourceOptions& options,
                                       std::string* packed_head) {
  BAVN_TRY(in, unpacked(std::move(in), path));
  BAVN_TRY(std::string inner, read_head(*in, 4096));
  in = std::make_unique<Joined>(inner, std::move(in));
  if (packed_head != nullptr) *packed_head = inner;
  if (const auto nl = inner.find('\n');
      nl != std::string::npos && is_dump_mark(std::string_view(inner).substr(0, nl))) {
    in = std::make_unique<DumpBytes>(std::move(in));
    BAVN_TRY(inner, read_head(*in, 4096));
    in = std::make_unique<Joined>(inner, std::move(in));
  }
  const auto mark = options.parsers == nullptr ? std::nullopt : xml_events_mark(inner);
  if (mark) in = std::make_unique<XmlBytes>(std::move(in), *options.parsers, *mark);
  else if (const auto big = utf16_big_endian(inner)) in = std::make_unique<Utf16Bytes>(std::move(in), *big);
  return in;
}

struct OpenFile {
  std::unique_ptr<Bytes> bytes;
  std::int64_t modified = 0;
};

Result<OpenFile> open_file(const std::string& path) {
  int fd = 0;
  std::int64_t modified = 0;
  if (path != "-") {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(Code::not_found, fmt::format("cannot open it: {}", std::strerror(errno)), path);
    struct stat st{};
    if (::fstat(fd, &st) == 0) {
      if (S_ISDIR(st.st_mode)) {
        ::close(fd);
        return fail(Code::bad_input, "it is a directory; name its files, or let the command walk it", path);
      }
      modified = st.st_mtim.tv_sec * 1'000'000 + st.st_mtim.tv_nsec / 1000;
    }
  }
  return OpenFile{std::make_unique<FileBytes>(fd, path), modified};
}

}  // namespace

Result<std::unique_ptr<Source>> Source::open(const std::string& path, SourceOptions options) {
  BAVN_TRY(OpenFile file, open_file(path));
  BAVN_TRY(auto in, decoded(std::move(file.bytes), path, options, nullptr));
  return std::unique_ptr<Source>(std::make_unique<LineSource>(std::move(in), options, file.modified));
}

Result<std::vector<Source::Opened>> Source::open_all(const std::string& path, SourceOptions options) {
  std::vector<Opened> out;
  BAVN_TRY(OpenFile file, open_file(path));
  std::string head;
  BAVN_TRY(auto in, decoded(std::move(file.bytes), path, options, &head));
  if (!is_archive(head) || options.parsers == nullptr) {
    out.push_back({path, std::make_unique<LineSource>(std::move(in), options, file.modified)});
    return out;
  }
  std::string packed;
  for (std::size_t got = 1; got != 0;) {
    const std::size_t start = packed.size();
    packed.resize(start + (1U << 20));
    BAVN_TRY(got, in->read(packed.data() + start, 1U << 20));
    packed.resize(start + got);
    if (packed.size() > jail::kMaxInput)
      return fail(Code::bad_input, "an archive of more than 64 MiB; unpack it and name its files", path);
  }
  auto unpacked = options.parsers->run(jail::Task::archive_extract, packed);
  if (!unpacked) return fail(unpacked.error().code, unpacked.error().what, path);
  const auto flat = std::make_shared<const std::string>(*std::move(unpacked));
  BAVN_TRY(const auto members, jail::members_of(*flat));
  for (const jail::Member& m : members) {
    const std::string name = fmt::format("{}!{}", path, m.name);
    std::string inner;
    auto bytes = decoded(std::make_unique<MemoryBytes>(m.content, flat), name, options, &inner);
    if (bytes && is_archive(inner))
      bytes = fail(Code::bad_input, "an archive inside an archive; unpack it and name its files", name);
    if (!bytes) bytes = std::make_unique<Failing>(bytes.error());
    out.push_back({name, std::make_unique<LineSource>(*std::move(bytes), options, file.modified)});
  }
  return out;
}

std::unique_ptr<Source> Source::of_bytes(std::string_view bytes, SourceOptions options) {
  return std::make_unique<LineSource>(std::make_unique<MemoryBytes>(bytes), options, 0);
}

Result<std::unique_ptr<Source>> Source::of_decoded(std::string_view bytes, SourceOptions options) {
  BAVN_TRY(auto in, decoded(std::make_unique<MemoryBytes>(bytes), {}, options, nullptr));
  return std::unique_ptr<Source>(std::make_unique<LineSource>(std::move(in), options, 0));
}

}  // namespace bavn::formats
