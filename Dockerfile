# docker build -t tiw-studio .                                                                        (CPU)
# docker build -t tiw-studio --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .         (CUDA; run with --gpus all)
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 HOME=/tmp TIW_HOME=/data TIW_HOST=0.0.0.0 TIW_PORT=7860 TIW_NO_BROWSER=1
WORKDIR /app

COPY requirements.txt constraints.txt ./
# torch and torchvision by themselves first, from the index of the wanted build; the rest from PyPI.
RUN grep -E "^torch" requirements.txt > torch.txt \
    && pip install -r torch.txt -c constraints.txt --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple \
    && pip install -r requirements.txt -c constraints.txt

COPY app.py LICENSE README.md ./
COPY tiw tiw
COPY ui ui
COPY assets assets
COPY checkpoints checkpoints
COPY docs docs

# Writes nowhere but in /data, and is nobody in particular: `docker run --read-only --tmpfs /tmp -v tiw:/data` works.
RUN useradd --uid 1000 --create-home tiw && mkdir /data && chown tiw /data
USER 1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/tiw/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "app.py"]
