# Install what the tests use from Debian, where that is possible and something is missing.
# LaTeX compiles the tables; Slurm's client is asked whether a controller answers.
set -u
wanted=()
command -v pdflatex >/dev/null || wanted+=(texlive-latex-recommended)
command -v pdftotext >/dev/null || wanted+=(poppler-utils)
command -v sbatch >/dev/null || wanted+=(slurm-client)
[ "${#wanted[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, so their tests are skipped: ${wanted[*]} (Debian's names; root may install them)"
  exit 0
fi
echo "installing ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
