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
#include "jail/archive.hpp"

namespace bavn::formats {

namespace {

// ---- bytes -------------------------------------------------------------------------------------------------------------

class Bytes {
 public:
  virtual ~Bytes() = default;
  /// Up to n bytes into p; 0 at the end.
  virtual Result<std::size_t> read(char* p, std::size_t n) = 0;
  /// What could not be read so far; line: of what read() gave.
  virtual std::vector<event::Refusal> take_refusals() { return {}; }
};

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
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      return fail(Code::unavailable, fmt::format("cannot read on: {}", std::strerror(errno)), path_);
    }
  }

 private:
  int fd_;
  std::string path_;
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
    z_.next_out = reinterpret_cast<Bytef*>(p);
    z_.avail_out = static_cast<uInt>(n);
    while (z_.avail_out == n) {
      if (z_.avail_in == 0) {
        BAVN_TRY(const std::size_t got, in_->read(buffer_.data(), buffer_.size()));
        if (got == 0) {
          if (open_) return fail(Code::corrupt, "the gzip data ends in the middle", path_);
          return std::size_t{0};
        }
        z_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        z_.avail_in = static_cast<uInt>(got);
      }
      if (!open_) {
        if (z_.next_in[0] != 0x1F) return std::size_t{0};  // padding after the last member
        inflateReset(&z_);
        open_ = true;
      }
      const int rc = inflate(&z_, Z_NO_FLUSH);
      if (rc == Z_STREAM_END) open_ = false;
      else if (rc != Z_OK && rc != Z_BUF_ERROR) return fail(Code::corrupt, "the gzip data is damaged", path_);
    }
    return n - z_.avail_out;
  }

 private:
  std::unique_ptr<Bytes> in_;
  std::string path_;
  std::vector<char> buffer_;
  z_stream z_{};
  bool good_ = false, open_ = true;
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
    ZSTD_outBuffer out{p, n, 0};
    while (out.pos == 0) {
      if (pos_ == size_) {
        BAVN_TRY(size_, in_->read(buffer_.data(), buffer_.size()));
        pos_ = 0;
        if (size_ == 0) {
          if (left_ != 0) return fail(Code::corrupt, "the zstd data ends in the middle", path_);
          return std::size_t{0};
        }
      }
      ZSTD_inBuffer in{buffer_.data(), size_, pos_};
      left_ = ZSTD_decompressStream(d_, &out, &in);
      pos_ = in.pos;
      if (ZSTD_isError(left_) != 0)
        return fail(Code::corrupt, fmt::format("the zstd data is damaged: {}", ZSTD_getErrorName(left_)), path_);
    }
    return out.pos;
  }

 private:
  std::unique_ptr<Bytes> in_;
  std::string path_;
  std::vector<char> buffer_;
  ZSTD_DStream* d_;
  std::size_t pos_ = 0, size_ = 0, left_ = 0;
};

// Windows events as XML: parts of whole events go through the jail and come out as one JSON object a line.
class XmlBytes final : public Bytes {
 public:
  XmlBytes(std::unique_ptr<Bytes> in, jail::Parsers& parsers, std::string_view mark)
      : in_(std::move(in)), parsers_(parsers), mark_(mark), open_(wide("<Event")), close_(wide("</Event>")) {}

  Result<std::size_t> read(char* p, std::size_t n) override {
    while (at_ == ready_.size()) {
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
      BAVN_TRY(const std::size_t got, in_->read(raw_.data() + start, 1U << 20));
      raw_.resize(start + got);
      done_ = got == 0;
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
      BAVN_TRY(const std::string lines,
               parsers_.run(jail::Task::xml_events, mark_.empty() ? std::string(part) : mark_ + std::string(part)));
      take(lines);
    }
    raw_.erase(0, used);
    if (done_ && line_ == 1 && !refused_any_) {
      event::Refusal r;
      r.line = 1;
      r.reason = "xml_broken";
      r.detail = "XML without any whole <Event>";
      refusals_.push_back(std::move(r));
    }
    return {};
  }

  void take(std::string_view lines) {
    while (!lines.empty()) {
      const std::size_t end = lines.find('\n');
      const std::string_view line = lines.substr(0, end);
      if (line.starts_with("{\"#refused\"")) {
        const std::size_t why = line.find("\"reason\":\"");
        event::Refusal r;
        r.line = line_;
        r.reason = "xml_broken";
        if (why != std::string_view::npos) r.detail = line.substr(why + 10, line.size() - why - 13);
        refusals_.push_back(std::move(r));
        refused_any_ = true;
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
  std::vector<event::Refusal> refusals_;
};

// ---- records -----------------------------------------------------------------------------------------------------------

// Lists that APIs and exports put their records in; only before any nested member, so that a record's own list is not taken for one.
constexpr std::array<std::string_view, 6> kEnvelopes = {"value", "records", "Records", "events", "Events", "expected"};

// Splits a JSON text that does not keep one record a line. Feed bytes; whole top-level records (the elements of a top-level array,
// or of an envelope's array) come out on one line each.
class Splitter {
 public:
  explicit Splitter(std::size_t max_record) : max_(max_record) {}

  /// Appends finished records with '\n' to out; returns false when the text is no JSON structure.
  bool feed(std::string_view bytes, std::string& out, event::EventBatch& batch, std::uint64_t& record) {
    for (char c : bytes) {
      if (broken_) return false;
      ++fed_;
      if (raw_.size() < max_ * 2) raw_ += c;
      if (in_string_) {
        if (escape_) escape_ = false;
        else if (c == '\\') escape_ = true;
        else if (c == '"') in_string_ = false;
        keep(c);
        if (!recording_ && !in_string_ && depth_ == base_) key_done();
        continue;
      }
      switch (c) {
        case '"':
          if (!recording_) key_.clear();
          keep(c);
          in_string_ = true;
          break;
        case '{':
        case '[':
          // In an object a value stands after a colon: a bracket elsewhere means that lines were taken for one record.
          if (depth_ >= 500 || (depth_ > 0 && stack_[depth_ - 1] == '{' && last_ != ':')) {
            broken_ = true;
            return false;
          }
          if (!recording_) {
            if (c == '[' && (depth_ == 0 || (depth_ == 1 && stack_[0] == '{' && !nested_ && envelope_key()))) {
              // a list of records
              spill_.clear();
              possible_envelope_ = false;
              stack_[depth_++] = c;
              base_ = depth_;
              break;
            }
            if (c == '{' && depth_ == 0) {
              // an object: a record, unless it turns out to be an envelope
              stack_[depth_++] = c;
              base_ = depth_;
              spill_ = "{";
              possible_envelope_ = true;
              nested_ = false;
              break;
            }
            if (c == '{' && depth_ == base_ && stack_[depth_ - 1] == '[') {
              recording_ = true;
              record_.clear();
              record_from_ = depth_;
            } else {
              nested_ = true;
            }
          }
          stack_[depth_++] = c;
          keep(c);
          break;
        case '}':
        case ']':
          if (depth_ == 0 || (c == '}') != (stack_[depth_ - 1] == '{')) {
            broken_ = true;
            return false;
          }
          --depth_;
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
        case '\t': break;
        default: keep(c);
      }
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') last_ = c;
    }
    return !broken_;
  }
  /// After feed() failed: what was fed since the last whole record, to be read again line by line.
  std::string take_back() { return std::move(raw_); }
  std::size_t fed() const { return fed_; }
  bool unfinished() const { return depth_ != 0; }

 private:
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
      out += record_;
      out += '\n';
    }
    ++record;
    too_long_ = false;
    record_.clear();
    raw_.clear();
  }

  std::size_t max_;
  std::array<char, 512> stack_{};
  std::size_t depth_ = 0, base_ = 0, record_from_ = 0;
  bool in_string_ = false, escape_ = false, recording_ = false, broken_ = false, too_long_ = false,
       possible_envelope_ = false, nested_ = false;
  char last_ = 0;
  std::size_t fed_ = 0;
  std::string record_, spill_, key_, last_key_, raw_;
};

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
  return line.starts_with("{\"@odata.context\"") || line.starts_with("{ \"@odata.context\"");
}

// std::count is one byte a step at -O2; SSE2 is part of every amd64.
std::uint64_t count_lines(std::string_view s) {
  std::uint64_t n = 0;
  std::size_t i = 0;
#if defined(__SSE2__)
  const __m128i nl = _mm_set1_epi8('\n');
  while (i + 16 <= s.size()) {
    __m128i sum = _mm_setzero_si128();
    for (int k = 0; k < 255 && i + 16 <= s.size(); ++k, i += 16)
      sum = _mm_sub_epi8(sum, _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(s.data() + i)), nl));
    const __m128i total = _mm_sad_epu8(sum, _mm_setzero_si128());
    n += static_cast<std::uint64_t>(_mm_cvtsi128_si64(total)) +
         static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_srli_si128(total, 8)));
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
    for (event::Refusal& r : in_->take_refusals()) batch.refusals.push_back(std::move(r));
    return chunk;
  }
  bool done() const override { return started_ && eof_ && carry_.empty(); }
  std::uint64_t bytes_read() const override { return bytes_; }
  std::int64_t modified_us() const override { return modified_; }

 private:
  Result<Chunk> read_chunk(event::EventBatch& batch) {
    batch.clear();
    Chunk chunk;
    chunk.first_line = line_;
    if (!started_) {
      started_ = true;
      BAVN_CHECK(fill(carry_, 64U << 10));
      if (carry_.starts_with("\xEF\xBB\xBF")) carry_.erase(0, 3);
      if (looks_structured(carry_)) splitter_ = std::make_unique<Splitter>(options_.max_record);
    }
    if (splitter_) return structured(batch, chunk);
    batch.raw.swap(carry_);
    carry_.clear();
    for (;;) {
      const std::size_t before = batch.raw.size();
      if (!eof_) BAVN_CHECK(fill(batch.raw, options_.chunk));
      if (eof_) break;
      if (batch.raw.find('\n', before) != std::string::npos ||
          (before > 0 && batch.raw.rfind('\n') != std::string::npos))
        break;
      if (batch.raw.size() > options_.max_record) {
        // a line beyond any limit: forget its bytes, say so, go on after its end
        event::Refusal r;
        r.line = line_++;
        r.reason = "record_too_long";
        std::uint64_t length = batch.raw.size();
        BAVN_CHECK(skip_line(length));
        r.detail = fmt::format("{} bytes, the limit is {}", length, options_.max_record);
        batch.refusals.push_back(std::move(r));
        batch.raw.clear();
        batch.raw.swap(carry_);
        chunk.first_line = line_;
        if (eof_ && batch.raw.empty()) break;
      }
    }
    std::size_t end = batch.raw.size();
    if (!eof_) {
      end = batch.raw.rfind('\n') + 1;
      carry_.assign(batch.raw, end);
      batch.raw.resize(end);
    }
    chunk.to = end;
    line_ += count_lines(batch.raw);
    return chunk;
  }

  Result<void> fill(std::string& to, std::size_t n) {
    const std::size_t start = to.size();
    to.resize_and_overwrite(start + n, [&](char*, std::size_t) { return start + n; });  // not filled: read() does
    std::size_t got = 0;
    while (got < n) {
      auto r = in_->read(to.data() + start + got, n - got);
      if (!r) {
        to.resize(start + got);
        eof_ = true;
        if (start + got == 0) return std::unexpected(r.error());
        failed_ = r.error();  // what was read is delivered first
        return {};
      }
      if (*r == 0) {
        eof_ = true;
        break;
      }
      got += *r;
      bytes_ += *r;
    }
    to.resize(start + got);
    if (eof_ && failed_ && got == 0) return std::unexpected(*failed_);
    return {};
  }

  Result<void> skip_line(std::uint64_t& length) {
    std::string block;
    while (!eof_) {
      block.clear();
      BAVN_CHECK(fill(block, options_.chunk));
      const std::size_t nl = block.find('\n');
      length += nl == std::string::npos ? block.size() : nl;
      if (nl != std::string::npos) {
        carry_.assign(block, nl + 1);
        return {};
      }
    }
    return {};
  }

  Result<Chunk> structured(event::EventBatch& batch, Chunk chunk) {
    std::string block;
    std::string undone;
    while (batch.raw.size() < options_.chunk) {
      block.clear();
      if (!carry_.empty()) {
        block.swap(carry_);
      } else {
        if (eof_) break;
        BAVN_CHECK(fill(block, options_.chunk));
        if (block.empty()) break;
      }
      const std::size_t fed = splitter_->fed();
      if (!splitter_->feed(block, batch.raw, batch, line_)) {
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
    chunk.to = batch.raw.size();
    return chunk;
  }

  std::unique_ptr<Bytes> in_;
  SourceOptions options_;
  std::int64_t modified_;
  std::unique_ptr<Splitter> splitter_;
  std::string carry_;
  std::uint64_t line_ = 1, bytes_ = 0;
  bool started_ = false, eof_ = false;
  std::optional<Error> failed_;
};

Result<std::string> read_head(Bytes& in, std::size_t n) {
  std::string head(n, '\0');
  std::size_t have = 0;
  while (have < n) {
    BAVN_TRY(const std::size_t got, in.read(head.data() + have, n - have));
    if (got == 0) break;
    have += got;
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

// The byte order mark of UTF-16 or "" when the head begins Windows events as XML; nothing when it does not.
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

// Undoes gzip and zstd, then XML: a stream of lines.
Result<std::unique_ptr<Bytes>> decoded(std::unique_ptr<Bytes> in, const std::string& path, const SourceOptions& options,
                                       std::string* packed_head) {
  auto head = read_head(*in, 4);
  if (!head) return std::unexpected(head.error());
  const bool gzip = head->starts_with("\x1F\x8B"), zstd = head->starts_with("\x28\xB5\x2F\xFD");
  in = std::make_unique<Joined>(*std::move(head), std::move(in));
  if (gzip) in = std::make_unique<GzipBytes>(std::move(in), path);
  if (zstd) in = std::make_unique<ZstdBytes>(std::move(in), path);
  if (options.parsers == nullptr) return in;
  auto inner = read_head(*in, 4096);
  if (!inner) return std::unexpected(inner.error());
  if (packed_head != nullptr) *packed_head = *inner;
  const auto mark = xml_events_mark(*inner);
  in = std::make_unique<Joined>(*std::move(inner), std::move(in));
  if (mark) in = std::make_unique<XmlBytes>(std::move(in), *options.parsers, *mark);
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
  if (!is_archive(head)) {
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
    BAVN_TRY(auto bytes, decoded(std::make_unique<MemoryBytes>(m.content, flat), name, options, nullptr));
    out.push_back({name, std::make_unique<LineSource>(std::move(bytes), options, file.modified)});
  }
  return out;
}

std::unique_ptr<Source> Source::of_bytes(std::string_view bytes, SourceOptions options) {
  return std::make_unique<LineSource>(std::make_unique<MemoryBytes>(bytes), options, 0);
}

}  // namespace bavn::formats
