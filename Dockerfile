# The demo with the model in the box.
#     docker build -t var-demo .                                       for the CPU
#     docker build -t var-demo --build-arg TORCH=cu126 .               for CUDA 12.6; run it with --gpus all
#     docker run -p 7860:7860 var-demo                                 options are variables: -e VAR_PUBLIC=1
# Checkpoints of your own: -v /my/checkpoints:/checkpoints -e VAR_CHECKPOINTS=/checkpoints
FROM python:3.12-slim

# The index of torch's builds: cpu, cu126, cu128, ...
ARG TORCH=cpu

RUN useradd --create-home --uid 1000 demo
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --extra-index-url "https://download.pytorch.org/whl/${TORCH}" \
        -r requirements.txt "prometheus-client>=0.22"
COPY app.py README.md LICENSE ./
COPY checkpoints ./checkpoints
COPY var ./var

USER demo
ENV VAR_HOST=0.0.0.0 VAR_PORT=7860 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['VAR_PORT'] + '/health')"]
# Docker sends SIGTERM and waits for 10 s: within that runs end, and what is kept goes.
CMD ["python", "app.py"]
